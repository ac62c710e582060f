"""StationConfig: every setting of a station that is known when it starts."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

PORT = 8420


class StationConfig(BaseModel):
    """Settings of `flawmap serve`. What people change while it runs lies in its database."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: Path = Field(description="folder of images, maps, runs made here, and the database")
    database: str | None = Field(
        None, description="URL such as postgresql+psycopg://user@host/name; default: SQLite in data"
    )
    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(PORT, ge=0, le=65535, description="0 for any free port")
    runs: tuple[str, ...] = Field((), description="[NAME=]RUN: runs to inspect with, one a product")
    watch: tuple[str, ...] = Field((), description="[PRODUCT=]DIR: folders that cameras write to")
    camera: tuple[str, ...] = Field((), description="[PRODUCT=]WHERE: cameras and video files")
    opcua: str | None = Field(None, description="opc.tcp:// address of an OPC UA server")
    backend: str = Field("auto", description="runtime of the inspectors: see RuntimeOptions")
    precision: str = Field("float32", description="float32, or bf16 or int8 if exported")
    device: str = Field("cpu", description="cpu, cuda, GPU or NPU")
    threads: int | None = Field(None, ge=1, description="CPU threads of a model; default: all")
    proxy: bool = Field(False, description="behind a reverse proxy that ends TLS")
    allow_hosts: tuple[str, ...] = Field((), description="names under which browsers reach it")
    queue_items: int = Field(64, ge=1, description="images accepted and not yet answered, at most")
    queue_megabytes: int = Field(256, ge=1, description="their files' size at most")
    batch: int | None = Field(
        None, ge=1, description="images in a micro-batch at most; default: 1 on a CPU, else 8"
    )
    workers: int | None = Field(
        None, ge=1, description="images of a product inspected at once; default: one a core"
    )
    deadline: float = Field(10.0, gt=0.0, description="seconds until a waiting image is given up")
    reserve_megabytes: int = Field(200, ge=0, description="of the disk, left free of images")
    upload_megabytes: int = Field(64, ge=1, description="size of one uploaded image at most")

    @property
    def url(self) -> str:
        """URL of the database."""
        return self.database or f"sqlite:///{(self.data / 'station.sqlite').absolute()}"
