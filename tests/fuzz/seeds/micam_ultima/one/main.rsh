x M
x=36/y=5/lskp=18/rskp=2/
blk=2/
acquisition_date=2019/03/05 14:07:09
page_frames=5
sample_time=1.0msec
dual_cam=0
cmnt=a=b
Data-File-List
main.rsm
main(0).rsd
main(1).rsd
main(2).rsd
