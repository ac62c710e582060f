"""Backbones of timm (extra ``backbones``): ``--teacher timm:NAME`` or ``timm:NAME@FILE``."""
