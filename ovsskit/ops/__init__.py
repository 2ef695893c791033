"""Mathematics on tensors that knows neither stages nor values."""
