# Headers go to include/reelstore/<layer>/, the libraries and a package file for find_package(reelstore) beside them.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

foreach(layer base filters codecs store)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/${layer} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/reelstore
          FILES_MATCHING PATTERN "*.h" PATTERN "codecs/video/*" EXCLUDE PATTERN "codecs/packed/*" EXCLUDE PATTERN "codecs/foreign/*" EXCLUDE)
endforeach()
install(TARGETS reelstore reelstore_store reelstore_codecs reelstore_filters reelstore_base EXPORT reelstore_targets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT reelstore_targets NAMESPACE reelstore:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/reelstore)
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/reelstore-config.cmake.in ${PROJECT_BINARY_DIR}/reelstore-config.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/reelstore)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/reelstore-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/reelstore-config.cmake ${PROJECT_BINARY_DIR}/reelstore-config-version.cmake
              ${PROJECT_SOURCE_DIR}/cmake/dependencies.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/reelstore)
if(REELSTORE_BUILD_TOOLS)
  install(TARGETS store RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  file(GLOB verb_files ${PROJECT_SOURCE_DIR}/tools/verbs/*.cpp)
  foreach(file IN LISTS verb_files)
    get_filename_component(verb ${file} NAME_WE)
    string(REPLACE "_" "-" verb ${verb})
    install(CODE "file(CREATE_LINK store \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}/store-${verb}\" SYMBOLIC)")
  endforeach()
endif()
