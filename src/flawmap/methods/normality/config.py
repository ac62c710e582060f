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
        description="placed: each place has its own memory, for parts that are aligned; "
        "unplaced: all places share one; auto: placed if good images show that parts "
        "are aligned, else none",
    )
    half_distance: float = Field(
        0.3,
        gt=0,
        description="squared distance of unit features with unfamiliarity 0.5; raised to the 99 "
        "% quantile of other good images' places if that is larger",
    )
    share: float = Field(
        0.02,
        ge=0,
        le=1,
        description="weight of the memory's map if little of the image is unfamiliar",
    )
    area: float = Field(
        0.2,
        gt=0,
        description="unfamiliar share of the image at which the memory's map has full weight; "
        "below, the weight falls with the third power",
    )
    power: float = Field(
        3.0, gt=0, description="exponent applied to the unfamiliarity of places before fusion"
    )
    score_power: float = Field(
        2.0,
        ge=0,
        description="the image score is multiplied by the unfamiliarity of the least familiar "
        "places to this power",
    )
    score_share: float = Field(
        0.1,
        ge=0,
        description="weight of the memory's own score (unfamiliarity of the least familiar "
        "places to the eighth power), against 1 for the method's",
    )
    block: int = Field(
        2, ge=1, description="placed: side of the block of cells that shares a memory"
    )
    block_prototypes: int = Field(
        32, ge=1, description="placed: number of features stored per block"
    )
    prototypes: int = Field(2048, ge=1, description="unplaced: number of features stored")
    rounds: int = Field(5, ge=0, description="iterations of k-means")
