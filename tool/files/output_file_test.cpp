// SPDX-License-Identifier: MIT
#include "tool/files/output_file.hpp"

#include <doctest/doctest.h>
#include <fstream>
#include <iterator>
#include <unistd.h>

#include "tool/files/folder_lock.hpp"

namespace nmisafe::tool {

namespace {

struct temporary_folder {
    temporary_folder() {
        char name[] = "/tmp/nmisafe-files-XXXXXX";
        REQUIRE(::mkdtemp(name) != nullptr);
        path = name;
    }
    ~temporary_folder() { std::filesystem::remove_all(path); }

    std::filesystem::path path;
};

std::string content(const std::filesystem::path& file) {
    std::ifstream stream(file);
    return {std::istreambuf_iterator<char>(stream), {}};
}

} // namespace

TEST_CASE("a file that is written") {
    const temporary_folder folder;
    output_file file;
    for (const char* text : {"the first, longer text\n", "the second\n"}) {
        file.open(folder.path / "a");
        file.write(text);
        file.check_room();
        file.close();
        CHECK(file.error() == "");
        CHECK(content(folder.path / "a") == text);
    }
}

TEST_CASE("a file that cannot be made") {
    const temporary_folder folder;
    output_file file;
    file.open(folder.path / "none" / "a");
    CHECK(file.error() == (folder.path / "none/a").string() + ": No such file or directory");
    file.write("text");
    file.check_room();
    file.close();
    CHECK(file.error().ends_with("No such file or directory"));
    // It may be tried again.
    file.open(folder.path / "a");
    CHECK(file.error() == "");
}

TEST_CASE("a file without room") {
    output_file file;
    file.open("/dev/full");
    CHECK(file.error() == "");
    SUBCASE("when it is written to") {
        file.write("text");
    }
    SUBCASE("when it is asked for") {
        file.check_room();
    }
    CHECK(file.error() == "/dev/full: No space left on device");
}

TEST_CASE("a stream without room") {
    std::FILE* const full = std::fopen("/dev/full", "w");
    REQUIRE(full != nullptr);
    CHECK_THROWS_WITH(print_now(full, "text"), "standard output: No space left on device");
    std::fclose(full);
}

TEST_CASE("a file that is whole or as before") {
    const temporary_folder folder;
    const std::filesystem::path file = folder.path / "a";
    CHECK(write_whole(file, "text") == "");
    CHECK(content(file) == "text");
    std::filesystem::create_symlink("/dev/full", folder.path / "a.unfinished");
    CHECK(write_whole(file, "other") == file.string() + ".unfinished: No space left on device");
    CHECK(content(file) == "text");
    CHECK_FALSE(std::filesystem::exists(folder.path / "a.unfinished"));
    CHECK(write_whole(folder.path / "none/a", "text").ends_with("No such file or directory"));
}

TEST_CASE("one run at a time") {
    const temporary_folder folder;
    {
        folder_lock first;
        CHECK(first.take(folder.path) == "");
        folder_lock second;
        CHECK(second.take(folder.path) ==
              folder.path.string() + " is in use by another run (process " +
                  std::to_string(::getpid()) +
                  "): wait for its end, or give this one another --out");
    }
    folder_lock third;
    CHECK(third.take(folder.path) == "");
    folder_lock nowhere;
    CHECK(nowhere.take(folder.path / "none").ends_with("No such file or directory"));
}

} // namespace nmisafe::tool
