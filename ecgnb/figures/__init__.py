"""Arrays and tables become Axes or HTML; nothing is fitted or read here."""
