"""Questions to the data: calibration, duplicates, screening, evaluation, galleries, the training demo."""
