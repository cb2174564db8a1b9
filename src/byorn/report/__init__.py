"""What a scan found, as evidence for people (`report.html`) and machines (`report.json`, `report.sarif`). No torch."""
