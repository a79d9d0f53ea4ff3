//! A stack made and turned in one call, for a program that wants sockets and no more.

use super::Sockets;
use crate::Clock;
use packet::Device;
use rustix::rand::{GetRandomFlags, getrandom};
use stack::{Config, InterfaceConfig, PortShare, Prefix, Route, Stack};
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;

impl Sockets {
    /// A stack of its own behind `device`, with `addresses` there, which sends by `gateways` what is on no network of
    /// these. A task of the tokio runtime that this is called in turns it until the device fails or the program
    /// [stops](Self::stop) it.
    ///
    /// # Errors
    ///
    /// `InvalidInput` where addresses or gateways cannot be used together; the system's, where it has no random bytes.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    ///
    /// ```
    /// # use runtime::Sockets;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (device, _other_end) = link::FrameSocket::pair(1_500)?;
    /// let sockets = Sockets::start(device, &["192.0.2.2/24".parse()?], &["192.0.2.1".parse()?])?;
    /// let listener = sockets.listen("0.0.0.0:80".parse()?)?;
    /// assert_eq!(listener.local_addr()?.port(), 80);
    /// assert!(sockets.listen("198.51.100.1:80".parse()?).is_err(), "that address is not its own");
    /// # Ok(())
    /// # }
    /// ```
    pub fn start<D>(device: D, addresses: &[Prefix], gateways: &[IpAddr]) -> io::Result<Self>
    where
        D: Device + AsFd + Send + 'static,
    {
        let sockets = Self::make(&device, addresses, gateways)?;
        tokio::spawn(sockets.clone().drive(device));
        Ok(sockets)
    }

    /// A stack behind `device` that nobody turns yet.
    pub(crate) fn make(device: &impl Device, addresses: &[Prefix], gateways: &[IpAddr]) -> io::Result<Self> {
        Setup::new(addresses, gateways)?.sockets(device, PortShare::default())
    }
}

/// What the stacks of one interface have in common.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    hardware: [u8; 6],
    addresses: Vec<Prefix>,
    gateways: Vec<IpAddr>,
}

impl Setup {
    /// With a hardware address of its own.
    pub(super) fn new(addresses: &[Prefix], gateways: &[IpAddr]) -> io::Result<Self> {
        let mut hardware = [0; 6];
        getrandom(&mut hardware[..], GetRandomFlags::empty())?;
        // Administered locally, of one station (IEEE 802 §8.4).
        hardware[0] = hardware[0] & 0xfc | 0x02;
        Ok(Self { hardware, addresses: addresses.to_vec(), gateways: gateways.to_vec() })
    }

    /// A stack and its sockets behind a device.
    pub(super) fn sockets(&self, device: &impl Device, ports: PortShare) -> io::Result<Sockets> {
        let invalid = |error: String| io::Error::new(io::ErrorKind::InvalidInput, error);
        let mut seed = [0; 32];
        getrandom(&mut seed[..], GetRandomFlags::empty())?;
        let clock = Clock::start();
        let now = clock.now();
        let mut stack = Stack::new(Config { ports, ..Config::default() }, seed, now);
        let config = InterfaceConfig::new(device.capabilities(), self.hardware, self.addresses.clone());
        let interface = stack.add_interface(config, now).map_err(|error| invalid(error.to_string()))?;
        for gateway in &self.gateways {
            let everywhere: IpAddr = if gateway.is_ipv4() { [0, 0, 0, 0].into() } else { [0_u16; 8].into() };
            let destination = Prefix::new(everywhere, 0);
            let route = Route { destination, interface, gateway: Some(*gateway) };
            stack.add_route(route).map_err(|error| invalid(error.to_string()))?;
        }
        Ok(Sockets::new(stack, interface, clock))
    }
}
