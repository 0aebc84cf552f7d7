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

# nmisafe_add_unit_tests(name SOURCES ... LINK ...)
#
# The same test for both widths, as unit.<name>.x86_64 and unit.<name>.x86_32. The latter runs under
# QEMU's user emulation: nmisafe/trap/CMakeLists.txt says why.
function(nmisafe_add_unit_tests name)
    nmisafe_add_unit_test(${name}.x86_64 ${ARGN})
    nmisafe_add_unit_test(${name}.x86_32 ${ARGN})
    target_compile_options(test_${name}.x86_32 PRIVATE -m32 -fno-pie
        -idirafter /usr/include/x86_64-linux-gnu)
    target_link_options(test_${name}.x86_32 PRIVATE -m32 -static)
    set_target_properties(test_${name}.x86_32 PROPERTIES CROSSCOMPILING_EMULATOR qemu-i386)
endfunction()
