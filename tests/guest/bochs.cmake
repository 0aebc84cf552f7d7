# The same kernel under Bochs, with one compiler: what an emulator shows does not depend on the compiler,
# and each boot through GRUB takes a while. Each row needs a CD image of its own, since Bochs cannot pass
# a command line.
#
# nmisafe_add_bochs_test(arch experiment policy variant cpus [OPTIONS more of the command line]
#                        [WITHOUT defence] [CET|HARDENED] [arguments of check_bochs.py...])
# CET: with shadow stacks and indirect branch tracking, in an image for them and on a CPU that has them.
# HARDENED: with indirect branch tracking, in the image whose entries of user mode have all that can be built in.
function(nmisafe_add_bochs_test arch experiment policy variant cpus)
    cmake_parse_arguments(bochs "CET;HARDENED" "OPTIONS;WITHOUT" "" ${ARGN})
    set(name ${experiment}.${policy}.${arch})
    if(bochs_CET)
        if(variant STREQUAL "-hardened")
            string(APPEND name .hardened)
        endif()
        string(APPEND name .cet)
        string(APPEND bochs_OPTIONS " cet=on")
        list(APPEND bochs_UNPARSED_ARGUMENTS --model tigerlake)
    endif()
    if(bochs_HARDENED)
        string(APPEND name .hardened)
        string(APPEND bochs_OPTIONS " cet=branch-tracking")
        list(APPEND bochs_UNPARSED_ARGUMENTS --model tigerlake)
    endif()
    if(bochs_WITHOUT)
        string(APPEND name .without-${bochs_WITHOUT})
        string(APPEND bochs_OPTIONS " without=${bochs_WITHOUT}")
    endif()
    nmisafe_add_kernel_iso(${arch} "${variant}" bochs-${name}.iso
        "experiment=${experiment} policy=${policy} ${bochs_OPTIONS}")
    add_test(NAME guest.bochs.${name}
        COMMAND Python3::Interpreter ${PROJECT_SOURCE_DIR}/tests/guest/check_bochs.py
            --iso ${PROJECT_BINARY_DIR}/kernel/bochs-${name}.iso --cpus ${cpus}
            --log ${PROJECT_BINARY_DIR}/tests/guest/bochs.${name}.log
            ${bochs_UNPARSED_ARGUMENTS})
    set_tests_properties(guest.bochs.${name} PROPERTIES LABELS guest TIMEOUT 240)
endfunction()
