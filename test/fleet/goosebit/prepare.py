"""Makes the tables of gooseBit and the devices, each with its token: DEVICE=TOKEN ..."""
import asyncio
import sys

from goosebit.db.config import TORTOISE_CONF
from goosebit.db.models import Device, Hardware
from tortoise import Tortoise


async def main() -> None:
    await Tortoise.init(config=TORTOISE_CONF)
    await Tortoise.generate_schemas()
    hardware = await Hardware.create(model="default", revision="default")
    for argument in sys.argv[1:]:
        name, token = argument.split("=")
        await Device.create(id=name, hardware=hardware, auth_token=token)
    await Tortoise.close_connections()


asyncio.run(main())
