# Builds and runs tests/install/consumer in WORK, with weft installed (WAY=find_package) or from its source tree
# (WAY=add_subdirectory).

function(run)
    execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
    if(NOT result EQUAL 0)
        list(JOIN ARGN " " command)
        message(FATAL_ERROR "${command}\n${output}")
    endif()
endfunction()

file(REMOVE_RECURSE ${WORK})
set(arguments -S ${CONSUMER} -B ${WORK}/build -G Ninja -DCMAKE_CXX_COMPILER=${COMPILER})
if(WAY STREQUAL "find_package")
    run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/prefix)
    list(APPEND arguments -DCMAKE_PREFIX_PATH=${WORK}/prefix)
else()
    list(APPEND arguments -DWEFT_TREE=${TREE})
endif()
run(${CMAKE_COMMAND} ${arguments})
run(${CMAKE_COMMAND} --build ${WORK}/build)
run(${WORK}/build/consumer)
