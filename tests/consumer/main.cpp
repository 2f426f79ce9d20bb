#include <reelstore/store/store_reader.h>
#include <reelstore/store/store_writer.h>

int main(int, char** argv) {
    reelstore::StoreWriter out(argv[1], {.format = "npy"});
    out.add(cv::Mat(4, 4, CV_8UC1, cv::Scalar(7)), 1, 0.5);
    out.close();
    reelstore::StoreReader store(argv[1]);
    return store.at_number(1)->image.at<unsigned char>(3, 3) == 7 ? 0 : 1;
}
