// SPDX-License-Identifier: MIT
// Constructors and destructors of all kinds. A linker puts it into the test program, and the loader
// loads it: both call them in the same order. Capitals: in tables of the older kind.
extern "C" void program_note(char which);

namespace {

using function = void (*)();

template <char Which>
void note() {
    program_note(Which);
}

} // namespace

#define NAME_2(line) table_##line
#define NAME(line) NAME_2(line)
#define TABLE(where, ...)                                                                          \
    [[gnu::used, gnu::section(where), gnu::aligned(sizeof(function))]] static function NAME(       \
        __LINE__)[] = {__VA_ARGS__}

TABLE(".init_array", note<'p'>, note<'q'>);
TABLE(".ctors", note<'P'>, note<'Q'>);
TABLE(".ctors.65335", note<'D'>, note<'E'>); // priority 200
TABLE(".ctors.00000", note<'Z'>);            // 65535
TABLE(".ctors.65434", note<'B'>, note<'C'>); // 101
TABLE(".init_array.00300", note<'f'>, note<'g'>);
TABLE(".init_array.65534", note<'y'>);
TABLE(".init_array.99", note<'a'>);
TABLE(".init_array.1000", note<'k'>);
TABLE(".init_array.00999", note<'j'>);

TABLE(".fini_array", note<'p'>, note<'q'>);
TABLE(".dtors", note<'P'>, note<'Q'>);
TABLE(".dtors.65335", note<'D'>, note<'E'>);
TABLE(".fini_array.00300", note<'f'>, note<'g'>);
TABLE(".fini_array.99", note<'a'>);
TABLE(".fini_array.65534", note<'y'>);

// As the compiler puts them where they belong.
[[gnu::constructor(400)]] static void h() {
    program_note('h');
}
[[gnu::destructor(400)]] static void h_too() {
    program_note('h');
}
[[gnu::constructor]] static void r() {
    program_note('r');
}
[[gnu::destructor]] static void r_too() {
    program_note('r');
}

namespace {
struct noted {
    explicit noted(char which) { program_note(which); }
};
[[gnu::init_priority(500)]] noted i('i');
noted s('s');
} // namespace
