sample_time=2.0msec
dual_cam=0
Data Size=16*4
