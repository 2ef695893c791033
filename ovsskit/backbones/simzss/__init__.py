"""SimZSS: a frozen DINOv2 with a denoiser, and texts that were trained to meet its patches."""
