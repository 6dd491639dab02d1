"""A plugin for gooseBit that orders what TOPE_ORDERS/DEVICE.json names, and tells how a device is.

gooseBit's own store refuses ZIP files (it looks for cpio and squashfs) and tells SHA-1 alone; a source of updates may tell more.
"""
import hashlib
import json
import os
from pathlib import Path

from fastapi import APIRouter
from fastapi.requests import Request
from fastapi.responses import FileResponse

from goosebit.db.models import Device
from goosebit.device_manager import DeviceManager, HandlingType
from goosebit.schema.plugins import PluginSchema
from goosebit.schema.updates import UpdateChunk, UpdateChunkArtifact

folder = Path(os.environ["TOPE_ORDERS"])
router = APIRouter()


async def order_of(request: Request, device: Device):
    path = folder / f"{device.id}.json"
    order = json.loads(path.read_text()) if path.exists() else None
    if order is None or order["version"] == device.sw_version:
        return HandlingType.SKIP, None
    content = (folder / order["file"]).read_bytes()
    artifact = UpdateChunkArtifact(
        filename=order["file"],
        hashes={name: hashlib.new(name, content).hexdigest() for name in ("sha1", "md5", "sha256")},
        size=len(content),
        links={"download": {"href": str(request.url_for("package", name=order["file"]))}},
    )
    return HandlingType.FORCED, UpdateChunk(part="bApp", version=order["version"], name="printer", artifacts=[artifact])


@router.get("/package/{name}")
async def package(name: str) -> FileResponse:
    return FileResponse(folder / name)


@router.get("/device/{dev_id}")
async def device(dev_id: str) -> dict:
    found = await DeviceManager.get_device(dev_id)
    return {"state": str(found.last_state), "log": found.last_log or "", "version": found.sw_version}


config = PluginSchema(name="tope_orders", router=router, update_source_hook=order_of)
