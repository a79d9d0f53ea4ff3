//! What a connection tells of itself must be possible: buffers hold no more than they may, and what has come about stays.

use crate::world::{HostId, World};
use stack::TcpId;
use tcp::Info;

/// What it told when it was last asked.
#[derive(Debug, Default)]
pub(super) struct Figures {
    last: Option<Info>,
}

impl Figures {
    /// Asks it again.
    ///
    /// # Panics
    ///
    /// Where it contradicts itself, its profile, or what it told before.
    pub(super) fn check(&mut self, world: &World, host: HostId, connection: TcpId) {
        let stack = world.stack_ref(host);
        let Some((info, config)) = stack.tcp_info(connection, world.now()).zip(stack.tcp_config(connection))
        else {
            return;
        };
        assert!(info.queued_bytes <= config.send_buffer_bytes, "the send buffer holds too much: {info:?}");
        let readable = info.readable_bytes;
        // Where it holds whole segments, the last one reaches over the bound, by less than itself: as large as it was
        // when the connection opened, before a path turned out to carry less.
        let over = if config.receive_whole_segments { u32::from(world.mtu_max(host)) - 1 } else { 0 };
        let readable_max = (config.receive_buffer_bytes + over).min(info.receive_buffer_bytes);
        assert!(readable <= readable_max, "the receive buffer holds too much: {info:?}");
        if let Some(last) = &self.last {
            assert!(last.bytes_acked <= info.bytes_acked && last.bytes_received <= info.bytes_received);
        }
        self.last = Some(info);
    }
}
