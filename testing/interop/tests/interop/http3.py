"""One HTTP/3 request with aioquic. Arguments: the host, the server name to send, the authority. Prints the answer, or what
became of the handshake."""
import asyncio
import sys

from aioquic.asyncio import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived
from aioquic.quic.configuration import QuicConfiguration

host, name, authority = sys.argv[1:]


class Client(QuicConnectionProtocol):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.http = H3Connection(self._quic)
        self.body = b''
        self.done = asyncio.get_running_loop().create_future()

    def quic_event_received(self, event):
        for received in self.http.handle_event(event):
            if isinstance(received, DataReceived):
                self.body += received.data
                if received.stream_ended and not self.done.done():
                    self.done.set_result(None)

    async def fetch(self):
        stream = self._quic.get_next_available_stream_id()
        headers = [(b':method', b'GET'), (b':scheme', b'https'), (b':authority', name.encode()), (b':path', b'/')]
        self.http.send_headers(stream, headers, end_stream=True)
        self.transmit()
        await self.done
        return self.body.decode()


async def main():
    configuration = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, server_name=name)
    configuration.load_verify_locations(authority)
    configuration.idle_timeout = 4
    try:
        async with connect(host, 443, configuration=configuration, create_protocol=Client) as client:
            print(await asyncio.wait_for(client.fetch(), 5))
    except (OSError, ConnectionError, asyncio.TimeoutError) as error:
        print('failed:', type(error).__name__)


asyncio.run(main())
