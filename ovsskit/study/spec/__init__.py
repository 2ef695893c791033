"""What a study searches: its table, its space, its objectives, and the checked plan."""
