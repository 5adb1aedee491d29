"""Golden fixtures of the family `ltx`, made by diffusers and transformers."""
