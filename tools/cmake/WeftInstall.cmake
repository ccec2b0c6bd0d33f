# cmake --install: the program, the libraries with their headers, and what find_package(weft) needs.

include(CMakePackageConfigHelpers)

set(config_dir "${CMAKE_INSTALL_LIBDIR}/cmake/weft")

install(TARGETS weft_fibers weft_netio weft_patch_calls weft_patch weft_weft
    EXPORT weft-targets
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT weft-targets NAMESPACE weft:: DESTINATION ${config_dir})
foreach(folder fibers netio services)
    install(DIRECTORY ${folder}/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
endforeach()
install(TARGETS weft_preload LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TARGET weft)
    install(TARGETS weft RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

configure_package_config_file(tools/cmake/weft-config.cmake.in weft-config.cmake
    INSTALL_DESTINATION ${config_dir})
write_basic_package_version_file(weft-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/weft-config.cmake"
              "${CMAKE_CURRENT_BINARY_DIR}/weft-config-version.cmake"
    DESTINATION ${config_dir})
