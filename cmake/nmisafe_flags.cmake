# Flags of this project's own targets. The library forces none of them on its users.

# Warnings are the project's bar, never a consumer's.
add_library(nmisafe_warnings INTERFACE)
target_compile_options(nmisafe_warnings INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wconversion -Wsign-conversion -Wshadow -Wold-style-cast
        -Wcast-qual -Wundef -Wnon-virtual-dtor>
    -Werror)

# What ordinary C++20 programs here (tool, unit tests, benchmarks) are built with. -g1 is enough for
# backtraces with lines; what -g adds costs up to a third of the compile time.
add_library(nmisafe_hosted INTERFACE)
target_compile_features(nmisafe_hosted INTERFACE cxx_std_20)
target_compile_options(nmisafe_hosted INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-O2 -g1>)
target_link_libraries(nmisafe_hosted INTERFACE nmisafe_warnings)

# The same, where compiling takes longer than running.
add_library(nmisafe_unoptimized INTERFACE)
target_compile_features(nmisafe_unoptimized INTERFACE cxx_std_20)
target_compile_options(nmisafe_unoptimized INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-O0 -g1>)
target_link_libraries(nmisafe_unoptimized INTERFACE nmisafe_warnings)
