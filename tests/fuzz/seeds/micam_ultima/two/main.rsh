x U
x=36/y=5/lskp=18/rskp=2/
blk=4/
acquisition_date=2019/03/05 14:07:09
page_frames=4
sample_time=1.0msec
dual_cam=1
cmnt=a=b
Data-File-List
main.rsm
main(0).rsd
