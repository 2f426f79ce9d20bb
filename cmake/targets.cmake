# One static library per layer, so that a layer cannot link against what stands above it.
add_library(reelstore_options INTERFACE)
target_compile_features(reelstore_options INTERFACE cxx_std_20)
target_compile_options(reelstore_options INTERFACE -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual)
if(REELSTORE_WARNINGS_AS_ERRORS)
  target_compile_options(reelstore_options INTERFACE -Werror)
endif()
if(REELSTORE_SANITIZE)
  target_compile_options(reelstore_options INTERFACE -fsanitize=${REELSTORE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(reelstore_options INTERFACE -fsanitize=${REELSTORE_SANITIZE})
endif()

function(reelstore_add_layer name)
  add_library(${name} STATIC ${ARGN})
  target_include_directories(${name} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>
                                            $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/include>
                                            $<INSTALL_INTERFACE:include/reelstore> $<INSTALL_INTERFACE:include>)
  target_compile_features(${name} PUBLIC cxx_std_20)
  target_link_libraries(${name} PRIVATE $<BUILD_INTERFACE:reelstore_options>)
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE ON EXPORT_NAME ${name})
endfunction()

# <reelstore/store/store_reader.h> works in the build tree as it does when installed.
file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/include)
file(CREATE_LINK ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR}/include/reelstore SYMBOLIC)

file(GLOB base_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/base/*.cpp)
reelstore_add_layer(reelstore_base ${base_sources})
target_link_libraries(reelstore_base PUBLIC opencv_core nlohmann_json::nlohmann_json Threads::Threads
                                     PRIVATE opencv_imgproc yaml-cpp SQLite::SQLite3 PkgConfig::LIBZIP fmt::fmt
                                             # Only linked: its definitions would make the precompiled header unfit for others.
                                             $<LINK_ONLY:date::date-tz>)
target_precompile_headers(reelstore_base PRIVATE <nlohmann/json.hpp> <opencv2/core.hpp> <fmt/format.h>)

file(GLOB filter_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/filters/*.cpp)
list(FILTER filter_sources EXCLUDE REGEX "_filters\\.cpp$")
reelstore_generate_table(filter_sources filters _filters add_filters filters/filter_table.h FilterTable filters set_family)
reelstore_add_layer(reelstore_filters ${filter_sources})
target_link_libraries(reelstore_filters PUBLIC reelstore_base PRIVATE opencv_imgproc opencv_imgcodecs Freetype::Freetype fmt::fmt)
target_precompile_headers(reelstore_filters REUSE_FROM reelstore_base)

file(GLOB codec_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/codecs/*.cpp ${PROJECT_SOURCE_DIR}/codecs/video/*.cpp ${PROJECT_SOURCE_DIR}/codecs/packed/*.cpp
                                             ${PROJECT_SOURCE_DIR}/codecs/foreign/*.cpp)
reelstore_generate_table(codec_sources codecs/chunk "" add_chunk_formats codecs/chunk_format.h ChunkFormatTable chunk_formats)
reelstore_generate_table(codec_sources codecs/file "" add_file_formats codecs/file_format.h FileFormatTable file_formats)
reelstore_generate_table(codec_sources codecs/camera "" add_cameras codecs/camera.h CameraTable camera_drivers)
reelstore_add_layer(reelstore_codecs ${codec_sources})
target_link_libraries(reelstore_codecs PUBLIC reelstore_base
                                       PRIVATE opencv_imgproc opencv_imgcodecs opencv_videoio PkgConfig::FFMPEG PkgConfig::XXHASH PkgConfig::ZSTD PkgConfig::BLOSC PkgConfig::ZLIB PkgConfig::HDF5
                                               TIFF::TIFF PkgConfig::TINYXML2 fmt::fmt)
target_precompile_headers(reelstore_codecs REUSE_FROM reelstore_base)

file(READ ${PROJECT_SOURCE_DIR}/spec/schema.sql REELSTORE_SCHEMA)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/spec/schema.sql)
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/generated/schema.cpp CONTENT [==[
// Generated from spec/schema.sql.
#include "store/schema.h"

namespace reelstore {

const char* const kIndexSchema = R"sql(@REELSTORE_SCHEMA@)sql";

}  // namespace reelstore
]==] @ONLY)
file(GLOB store_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/store/*.cpp)
reelstore_add_layer(reelstore_store ${store_sources} ${PROJECT_BINARY_DIR}/generated/schema.cpp)
target_link_libraries(reelstore_store PUBLIC reelstore_codecs reelstore_filters PRIVATE PkgConfig::HDF5 fmt::fmt)
target_precompile_headers(reelstore_store REUSE_FROM reelstore_base)

# What users link.
add_library(reelstore INTERFACE)
target_link_libraries(reelstore INTERFACE reelstore_store)
add_library(reelstore::reelstore ALIAS reelstore)
