"""Known damage for real photographs, and what the measures make of it: the calibration of the degradation labels."""
