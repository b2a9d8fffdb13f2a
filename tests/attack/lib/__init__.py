"""What the attacks of this folder share."""
