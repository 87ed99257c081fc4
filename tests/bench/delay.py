#!/usr/bin/env python3
"""A TCP proxy that puts a round trip between a client and a server on loopback.

    delay.py LISTEN_PORT SERVER_PORT MILLISECONDS

Every octet arrives half a round trip after it was sent. The kernel makes the connection at once, so what a distant
server would add to that (one round trip, then half of one until the accept) is waited for before the first octet.
"""

import asyncio
import socket
import sys

LISTEN, SERVER, HALF = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) / 2000


async def pump(reader, writer, not_before):
    """Moves octets as they come, each half a round trip late, in order."""
    loop = asyncio.get_running_loop()
    line = asyncio.Queue()

    async def deliver():
        while True:
            due, data = await line.get()
            if (left := due - loop.time()) > 0:
                await asyncio.sleep(left)
            if not data:
                break
            writer.write(data)
            await writer.drain()
        writer.close()

    task = asyncio.create_task(deliver())
    try:
        while data := await reader.read(1 << 16):
            line.put_nowait((max(loop.time() + HALF, not_before), data))
    except ConnectionError:
        pass
    line.put_nowait((max(loop.time() + HALF, not_before), b""))
    try:
        await task
    except ConnectionError:
        pass


def quick(writer):
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


async def serve(reader, writer):
    quick(writer)
    accepted = asyncio.get_running_loop().time() + 3 * HALF
    # The server's accept is as late as the client's ACK.
    early = asyncio.create_task(asyncio.sleep(3 * HALF))
    await early
    up_reader, up_writer = await asyncio.open_connection("127.0.0.1", SERVER)
    quick(up_writer)
    await asyncio.gather(pump(reader, up_writer, accepted), pump(up_reader, writer, accepted))


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", LISTEN)
    async with server:
        await server.serve_forever()


asyncio.run(main())
