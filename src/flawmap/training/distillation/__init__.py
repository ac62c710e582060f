"""Distillation: a small teacher that learns to give the features of a large one."""
