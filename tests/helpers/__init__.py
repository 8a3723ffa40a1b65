"""What tests share: made crystals, scans, maps, files and windows. No test lies here."""
