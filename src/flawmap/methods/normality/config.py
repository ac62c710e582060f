"""Configuration of the normality memory and of its fusion with a method's map."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal["placed", "unplaced"]


class MemoryConfig(BaseModel):
    """Options of a normality memory."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["auto", "placed", "unplaced", "none"] = Field(
        "auto",
        description="placed: each place remembers what good images show there, for parts that lie "
        "alike; unplaced: all places share one memory; auto: placed where the good images show "
        "that parts lie alike, else none",
    )
    half_distance: float = Field(
        0.3,
        gt=0,
        description="squared distance of unit features at which a place is unfamiliar by one half; "
        "the good images' own where one in a hundred of their places lies farther off",
    )
    share: float = Field(
        0.02, ge=0, le=1, description="how much the memory's map counts where little is unfamiliar"
    )
    area: float = Field(
        0.2,
        gt=0,
        description="share of the image that is unfamiliar from which on the memory's map counts "
        "in full; below, with the third power of it",
    )
    power: float = Field(3.0, gt=0, description="that how unfamiliar places are is raised to first")
    score_power: float = Field(
        2.0,
        ge=0,
        description="the image score is multiplied by how unfamiliar the least familiar places are "
        "to this power",
    )
    score_share: float = Field(
        0.1,
        ge=0,
        description="of the image score that is the memory's, beside 1 of the method's: how "
        "unfamiliar the least familiar places are, to the eighth power",
    )
    block: int = Field(2, ge=1, description="placed: cells a side that share a memory")
    block_prototypes: int = Field(32, ge=1, description="placed: features kept for each block")
    prototypes: int = Field(2048, ge=1, description="unplaced: features kept")
    rounds: int = Field(5, ge=0, description="of k-means")
