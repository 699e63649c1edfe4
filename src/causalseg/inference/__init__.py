"""From an image and a sentence to a mask, in the formats of clinics and archives."""
