Number of frames : 3
Image width : 16
Image height : 4
Frame rate (Hz) : 500
Date created : 24/12/2025 18:30:05
Comment : a : b
