"""From detector pixels to Å⁻¹ in the frame of the scan: direct beam, pixel size, ellipticity, rotation and flip."""
