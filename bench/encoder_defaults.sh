#!/usr/bin/env bash
# encoder_defaults.sh - compare x264 and MJPEG encoder settings on your own footage.
#
# Usage: encoder_defaults.sh VIDEO [FRAMES]        (FRAMES: default 200)
#   e.g. encoder_defaults.sh my_recording.avi 200 > table.md
#
# Decodes the first FRAMES frames of VIDEO to raw video once, then encodes them
# with each setting, decodes the result, and prints a Markdown table:
#   kB/frame   file size / frames (1 kB = 1000 bytes)
#   PSNR Y     luma PSNR in dB;  PSNR avg: all planes (same as Y for gray)
#   SSIM       all planes (luma only for gray)
#   enc fps    frames / CPU second, raw video in, file out (no colour conversion)
#   dec fps    frames / CPU second, whole file in order, frames discarded
#   key ms     CPU time to decode one key frame
#   rand ms    mean CPU time to decode one frame picked at random, starting at
#              its key frame: key + (gop-1)/2 x mean time of the other frames
#              (+1 more frame if B-frames are used, because of reordering)
# All times are CPU time (user + system) with one encoder/decoder thread, so
# "fps" means "fps on one core". Opening files, seeking, disk speed and
# conversion to RGB are not included.
#
# Environment (all optional):
#   GRAY=1          use only the luma plane (automatic if VIDEO is gray)
#   CHROMA=444      keep full colour resolution in the reference (default 420)
#   REPEATS=N       time each step N times and use the median (default 1)
#   RATE=FPS        pretend the footage has this frame rate (default: its own).
#                   It matters: x264 gives a crf lower quality at higher rates.
#   SETTINGS=FILE   your own list, one per line: label;codec;pix_fmt;gop;options
#                   (codec h264 or mjpeg; add the GOP length yourself only in
#                   the gop column, 1 for mjpeg)
#
# Needs ffmpeg (with libx264), awk and coreutils. Temporary space: about
# FRAMES x width x height x 6 bytes.
set -euo pipefail
export LC_ALL=C

if [ $# -lt 1 ] || [ $# -gt 2 ] || [ "${1:-}" = -h ] || [ "${1:-}" = --help ]; then
  echo "usage: ${0##*/} VIDEO [FRAMES]" >&2; exit 2
fi
video=$1 frames=${2:-200} repeats=${REPEATS:-1} chroma=${CHROMA:-420} settings=${SETTINGS:-}
[ -r "$video" ] || { echo "cannot read: $video" >&2; exit 1; }
case $frames in ''|*[!0-9]*|0) echo "FRAMES must be a positive number" >&2; exit 2;; esac
case $chroma in 420|444) ;; *) echo "CHROMA must be 420 or 444" >&2; exit 2;; esac
command -v ffmpeg >/dev/null || { echo "ffmpeg not found" >&2; exit 1; }

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM
log=$tmp/log
# Run ffmpeg, keep its messages in $log, show their end if it fails.
ff() { ffmpeg -nostdin -hide_banner -nostats -y "$@" </dev/null >/dev/null 2>"$log" ||
       { echo "ffmpeg failed: $*" >&2; tail -n 8 "$log" >&2; return 1; }; }
# Option that passes every frame through untouched; its name changed in ffmpeg 5.1.
ffmpeg -hide_banner -h long </dev/null >"$tmp/help" 2>/dev/null
if awk '/^-fps_mode/{f=1} END{exit !f}' "$tmp/help"; then sync='-fps_mode passthrough'; else sync='-vsync 0'; fi
cpu() { awk '/bench: utime=/{match($0,/utime=[0-9.]+/); u=substr($0,RSTART+6,RLENGTH-6)
             match($0,/stime=[0-9.]+/); s=substr($0,RSTART+6,RLENGTH-6); print u+s}' "$log"; }
median() { sort -n | awk '{v[NR]=$1} END{print (NR%2)? v[(NR+1)/2] : (v[NR/2]+v[NR/2+1])/2}'; }
timed() { local i; for ((i=0;i<repeats;i++)); do ff -benchmark "$@"; cpu; done | median; }

# --- Reference: raw video, decoded once -------------------------------------
ffmpeg -nostdin -hide_banner -i "$video" </dev/null >/dev/null 2>"$log" || true
gray=${GRAY:-$(awk '/Video:/&&/, gray/{g=1} END{print g+0}' "$log")}
if [ "$gray" = 1 ]; then filter=extractplanes=y; ref=gray; else filter=format=yuv${chroma}p; ref=yuv${chroma}p; fi
ff ${RATE:+-r "$RATE"} -i "$video" -map 0:v:0 -vf "$filter" -frames:v "$frames" -strict -1 $sync -f yuv4mpegpipe "$tmp/ref.y4m"
read -r width height rate < <(head -n 1 "$tmp/ref.y4m" | awk '{for(i=2;i<=NF;i++){c=substr($i,1,1);v=substr($i,2)
  if(c=="W")w=v; if(c=="H")h=v; if(c=="F")r=v} sub(":","/",r); print w,h,r}')
raw() { # raw FORMAT: make (once) and name the raw file in this pixel format
  [ -e "$tmp/$1.raw" ] && return
  if [ "$1" = "$ref" ]; then
    ff -i "$tmp/ref.y4m" -f rawvideo -pix_fmt "$ref" "$tmp/$1.raw"; return
  fi
  # Sample values are never rescaled: MJPEG (yuvj...) and x264 get the same bytes.
  local from=$ref f=format=$1
  case $ref in
    gray) f=scale=in_range=full:out_range=full,format=$1;;          # luma copied, chroma neutral
    *) case $1 in yuvj*) from=yuvj${chroma}p;; esac;;
  esac
  ff -f rawvideo -pixel_format "$from" -video_size "${width}x$height" -framerate "$rate" -i "$tmp/$ref.raw" \
     -vf "$f" -sws_flags bicubic+accurate_rnd+full_chroma_int -f rawvideo -pix_fmt "$1" "$tmp/$1.raw"; }
raw "$ref"
per=$((width*height)); case $ref in yuv420p) per=$((per+2*((width+1)/2)*((height+1)/2)));; yuv444p) per=$((per*3));; esac
n=$(( $(stat -c %s "$tmp/$ref.raw") / per ))
[ "$n" -gt 0 ] || { echo "no frames decoded" >&2; exit 1; }

# --- One table row ------------------------------------------------------------
row() {
  local label=$1 codec=$2 pix=$3 gop=$4 opts=$5 out enc dec key loops nkey extra=0 prep cmp vals
  raw "$pix"
  local in=(-f rawvideo -pixel_format "$pix" -video_size "${width}x$height" -framerate "$rate" -i "$tmp/$pix.raw" -an)
  if [ "$codec" = h264 ]; then
    out=$tmp/out.mp4
    enc=$(timed "${in[@]}" -c:v libx264 -threads 1 -g "$gop" -keyint_min "$gop" -sc_threshold 0 -flags +cgop $opts "$out")
  else
    out=$tmp/out.avi
    enc=$(timed "${in[@]}" -c:v mjpeg -threads 1 $opts "$out")
  fi
  dec=$(timed -threads 1 -i "$out" $sync -f null -)
  if [ "$gop" -gt 1 ]; then
    nkey=$(( (n+gop-1)/gop )); loops=$(( (40+nkey-1)/nkey ))
    key=$(timed -stream_loop $((loops-1)) -skip_frame nokey -threads 1 -i "$out" $sync -f null -)
    key=$(awk -v t="$key" -v k=$((nkey*loops)) 'BEGIN{print t/k}')
  else
    nkey=$n; key=$(awk -v t="$dec" -v n="$n" 'BEGIN{print t/n}')
  fi
  case " $opts " in *" -bf "[1-9]*) extra=1;; esac
  # Bring the decoded frames to the reference format, then compare frame by frame.
  if [ "$ref" = gray ]; then prep=extractplanes=y cmp=gray
  else case $pix in yuvj*) cmp=yuvj${chroma}p;; *) cmp=$ref;; esac; prep=format=$cmp; fi
  ff -threads 1 -i "$out" -f rawvideo -pixel_format "$cmp" -video_size "${width}x$height" -framerate "$rate" -i "$tmp/$ref.raw" \
     -sws_flags bicubic+accurate_rnd+full_chroma_int -filter_threads 1 -filter_complex_threads 1 -filter_complex \
     "[0:v]$prep,settb=1/25,setpts=N,split[a][b];[1:v]settb=1/25,setpts=N,split[c][d];[a][c]psnr[p];[b][d]ssim[s]" \
     -map '[p]' $sync -f null - -map '[s]' $sync -f null -
  vals=$(awk '/PSNR /{for(i=1;i<=NF;i++){if($i~/^y:/)y=substr($i,3);if($i~/^average:/)a=substr($i,9)}}
              /SSIM /{for(i=1;i<=NF;i++)if($i~/^All:/)s=substr($i,5)} END{print y,a,s}' "$log")
  awk -v l="$label" -v pix="$pix" -v g="$gop" -v n="$n" -v sz="$(stat -c %s "$out")" -v e="$enc" -v d="$dec" -v k="$key" \
      -v nk="$nkey" -v x="$extra" -v q="$vals" 'BEGIN{split(q,v," "); p=(n>nk)?(d-nk*k)/(n-nk):0; if(p<0)p=0
      printf "| %s | %s | %d | %.1f | %.2f | %.2f | %.4f | %.0f | %.0f | %.2f | %.1f |\n",
      l,pix,g,sz/n/1000,v[1],v[2],v[3],n/e,n/d,k*1000,1000*(k+((g-1)/2+(g>1?x:0))*p)}'
}

# --- Settings ---------------------------------------------------------------------
if [ -n "$settings" ]; then list=$(cat "$settings")
else
  if [ "$ref" = gray ]; then x=gray j=yuvj420p; else x=yuv${chroma}p j=yuvj${chroma}p; fi
  v='-preset veryfast -bf 0' s='-preset superfast -bf 0'
  list="x264 veryfast crf 20;h264;$x;15;$v -crf 20
x264 veryfast crf 18;h264;$x;15;$v -crf 18
x264 veryfast crf 23;h264;$x;15;$v -crf 23
x264 veryfast crf 20;h264;$x;5;$v -crf 20
x264 veryfast crf 20;h264;$x;30;$v -crf 20
x264 veryfast crf 20;h264;$x;60;$v -crf 20
x264 veryfast crf 20, 2 B-frames;h264;$x;15;-preset veryfast -bf 2 -crf 20
x264 veryfast crf 20, zerolatency;h264;$x;15;$v -crf 20 -tune zerolatency
x264 veryfast crf 20, fastdecode;h264;$x;15;$v -crf 20 -tune fastdecode
x264 ultrafast crf 20;h264;$x;15;-preset ultrafast -bf 0 -crf 20
x264 superfast crf 20;h264;$x;15;$s -crf 20
x264 superfast crf 18;h264;$x;15;$s -crf 18
x264 superfast crf 20, fastdecode;h264;$x;15;$s -crf 20 -tune fastdecode
x264 faster crf 20;h264;$x;15;-preset faster -bf 0 -crf 20
MJPEG q 1;mjpeg;$j;1;-q:v 1 -qmin 1
MJPEG q 2;mjpeg;$j;1;-q:v 2
MJPEG q 3;mjpeg;$j;1;-q:v 3
MJPEG q 5;mjpeg;$j;1;-q:v 5
MJPEG q 3, fixed Huffman;mjpeg;$j;1;-q:v 3 -huffman default"
  if [ "$ref" = gray ]; then list+="
x264 veryfast crf 20, as colour;h264;yuvj420p;15;$v -crf 20"; fi
fi
awk -v f="${video##*/}" -v w="$width" -v h="$height" -v n="$n" -v p="$ref" -v r="$rate" -v m="$repeats" 'BEGIN{
  split(r,a,"/"); printf "%s: %dx%d, %d frames, %s, %.4g fps, %d timing run(s) per value\n\n",f,w,h,n,p,a[1]/(a[2]?a[2]:1),m
  print "| setting | pix_fmt | gop | kB/frame | PSNR Y | PSNR avg | SSIM | enc fps | dec fps | key ms | rand ms |"
  print "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"}'
while IFS=';' read -r label codec pix gop opts; do
  case $label in ''|'#'*) continue;; esac
  row "$label" "$codec" "$pix" "$gop" "$opts"
done <<<"$list"
