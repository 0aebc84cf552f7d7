# nmisafe_add_unit_test(name SOURCES ... LINK ...)
#
# A host unit test on doctest, run by ctest as unit.<name>. doctest's exit code is non-zero when a
# check fails; --no-skip=false --minimum... an empty test binary is an error through the pattern below.
function(nmisafe_add_unit_test name)
    cmake_parse_arguments(test "" "" "SOURCES;LINK" ${ARGN})
    add_executable(test_${name} ${test_SOURCES} ${PROJECT_SOURCE_DIR}/tests/support/doctest_main.cpp)
    target_include_directories(test_${name} PRIVATE ${PROJECT_SOURCE_DIR})
    target_link_libraries(test_${name} PRIVATE nmisafe_hosted ${test_LINK})
    add_test(NAME unit.${name} COMMAND test_${name})
    set_tests_properties(unit.${name} PROPERTIES
        TIMEOUT 120 LABELS unit
        # "test cases: 0" means that nothing ran, which is a failure.
        FAIL_REGULAR_EXPRESSION "test cases: *0 \\|")
endfunction()
