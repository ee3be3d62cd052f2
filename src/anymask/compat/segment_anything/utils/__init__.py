"""The reference's helpers that programs import by themselves."""
