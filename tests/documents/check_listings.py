#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Whether what the modules' pages show as C++ compiles.

The C++ of nmisafe/MODULE/README.md stands in listings/MODULE.cpp, in their order and whole, within
the declarations that they need; and that compiles for both widths as a kernel's code does, without a
warning. Between two of a listing's statements the file may have others; blanks, line breaks and comments
do not count. Those of docs/guides/ name a folder of tests/guides/, whose files they are of in the same way,
and which boot. What runs is tested elsewhere; the listings of RETURN_ALONE.md are run by the trap module's tests. Lines for linker scripts stand in the reference kernel's in the same way.

    check_listings.py ROOT COMPILER
    check_listings.py --self-test ROOT COMPILER
"""

import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "flags"))
import flag_sets  # noqa: E402

FOLDER = "tests/documents/listings"
GUIDES = "tests/guides"
LISTING = re.compile(r"^```([^\n]+)\n(.*?)^```$", re.M | re.S)
PAGE = re.compile(r"nmisafe/([a-z0-9_]+)/README\.md")
# Lines for a linker script, in a paragraph or apart: those that the reference kernel is linked by.
LINKER_LINES = re.compile(r"(?:\. = \w+\(\w+\);\s+)?__start_nmisafe\w+ = \.;.*?__stop_nmisafe\w+ = \.;", re.S)
LINKER_SCRIPT = "kernel/boot/sections.ld"
ASSEMBLY_PAGE = "nmisafe/trap/RETURN_ALONE.md"
C_PAGE = "nmisafe/c/README.md"  # tests/c_header compiles it
# What a reader does with a result is his own.
FLAGS = (*flag_sets.BASE, "-fno-pic", *"-Werror -Wall -Wextra -Wconversion -Wsign-conversion -Wshadow "
         "-Wold-style-cast -Wcast-qual -Wundef -Wnon-virtual-dtor -Wno-unused-variable "
         "-Wno-unused-but-set-variable".split())
# With these alone every line is compiled for one width or both.
CONDITIONALS = {"#ifdef __x86_64__", "#ifdef __i386__", "#else", "#endif"}


def tokens(text):
    return re.findall(r'"[^"]*"|\w+|\S', text)


def code_lines(text):
    return [line for line in (re.sub(r"//.*", "", line).strip() for line in text.splitlines()) if line]


def statements(listing):
    """What must stand together: lines up to one that ends a statement or a block, each as its words."""
    found = []
    for line in code_lines(listing):
        found += tokens(line)
        if line.startswith("#") or line.endswith((";", "}")):
            yield " ".join(found)
            found = []
    if found:
        yield " ".join(found)


def missing_statement(listings, text):
    """The first that the text does not have behind those before it, or None."""
    words = " " + " ".join(tokens("\n".join(code_lines(text)))) + " "
    place = 0
    for listing in listings:
        for statement in statements(listing):
            found = words.find(f" {statement} ", place)
            if found < 0:
                return statement
            place = found + len(statement) + 1
    return None


def pages(root):
    """Each page's path from the root, and its text."""
    for folder in sorted(root.iterdir()):
        if folder.name in ("build", "out") or folder.name.startswith("."):
            continue
        for path in sorted(folder.rglob("*.md")) if folder.is_dir() else [folder]:
            if path.suffix == ".md":
                yield str(path.relative_to(root)), path.read_text()


def files_of(root, name, kind):
    """Where the listings of a page must stand, as one text; None if nowhere."""
    page = PAGE.fullmatch(name)
    if page and kind == "cpp":
        return [root / FOLDER / f"{page[1]}.cpp"]
    if name.startswith("docs/guides/") and kind.startswith("cpp "):
        folder = root / GUIDES / kind.removeprefix("cpp ")
        return [path for end in (".h", ".hpp", ".cpp") for path in sorted(folder.glob("*" + end))]
    return None


def problems_of_pages(root):
    """What does not stand where it is compiled, as sentences; and the files that are to be compiled."""
    problems, files = [], []
    script = root / LINKER_SCRIPT
    for name, page_text in pages(root):
        listings = LISTING.findall(page_text)
        for lines in LINKER_LINES.findall(page_text):
            lost = missing_statement([lines.replace(";", ";\n")], script.read_text())
            if lost:
                problems.append(f"{name}: {LINKER_SCRIPT} does not have, at its place: {lost}")
        for kind in sorted({kind for kind, _ in listings}):
            if kind.startswith("asm ") and name == ASSEMBLY_PAGE or kind == "c" and name == C_PAGE:
                continue
            own = files_of(root, name, kind)
            if own is None:
                problems.append(f"{name}: no test compiles listings of '{kind}' there")
            elif not own or not all(file.exists() for file in own):
                problems.append(f"{name}: its listings of '{kind}' need {', '.join(map(str, own)) or 'a folder'}")
            else:
                files += own
                text = "\n".join(file.read_text() for file in own)
                place = own[-1].relative_to(root)
                lost = missing_statement([text for it, text in listings if it == kind], text)
                if lost:
                    problems.append(f"{name}: {place} does not have, at its place: {lost}")
                for line in code_lines(text):
                    if re.match(r"#\s*(if|el|endif)", line) and line not in CONDITIONALS or "/*" in line:
                        problems.append(f"{place}: '{line}' could hide a listing from the compiler")
    for file in sorted([*(root / FOLDER).glob("*.cpp"), *(root / GUIDES).glob("*/kernel.cpp")]):
        if file not in files:
            problems.append(f"{file.relative_to(root)}: no page has such listings")
    return problems, sorted({file for file in files if file.suffix == ".cpp"})


def problems_of_code(root, compiler, file, library):
    folders = [f"{root}/{FOLDER}"]
    if file.is_relative_to(root / GUIDES):
        folders = [file.parent, root / GUIDES / "contract"]
    for width in (64, 32):
        done = subprocess.run([compiler, f"-m{width}", *FLAGS, *(f"-I{folder}" for folder in folders),
                               f"-I{library}", "-c", file, "-o", "/dev/null"],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            yield f"{file.relative_to(root)}, {width} bits:\n{done.stderr}"


def check(root, compiler, library):
    problems, files = problems_of_pages(root)
    for file in files:
        problems += problems_of_code(root, compiler, file, library)
    return problems, len(files)


LINES = "const int one = first(1); // a remark\nif (one != 0)\n    second(one);\n"
CODE = ("int first(int); void second(int);\nvoid f() {\n    const int one = first(1);\n"
        "    static_cast<void>(one);\n    if (one != 0) second(one);\n}\n")
# Each: the listing, what kind it is, the file (None: there is none) and what is found.
CASES = {
    "right": (LINES, "cpp", CODE, None),
    "the page has changed": (LINES.replace("first(1)", "first(2)"), "cpp", CODE, "at its place: const int one"),
    "the file has changed": (LINES, "cpp", CODE.replace("one != 0", "one"), "at its place: if"),
    "a part of a statement": (LINES.replace("first", "irst"), "cpp", CODE, "at its place"),
    "torn apart": (LINES, "cpp", CODE.replace("0) second", "0) one; second"), "at its place: if"),
    "another order": ("second(one);\nconst int one = first(1);\n", "cpp", CODE, "at its place: const"),
    "in a comment": (LINES, "cpp", CODE.replace("    if", "    // if"), "at its place: if"),
    "no file": (LINES, "cpp", None, "its listings of 'cpp' need"),
    "no kind": (LINES, "c", CODE, "no test compiles listings of 'c'"),
    "hidden": (LINES, "cpp", "#if 0\n" + CODE + "#endif\n", "could hide"),
    "not declared": (LINES, "cpp", CODE.replace("void second(int);", ""), "64 bits"),
    "for one width": (LINES, "cpp", CODE + "static_assert(sizeof(long) == 8);\n", "32 bits"),
    "a warning": ("char byte = value();\n", "cpp",
                  "int value(); void f() {\n    char byte = value();\n}\n", "conversion"),
    "linker lines": (LINES + "```\n\n    __start_nmisafe_a = .; *(a) __stop_nmisafe_a = .;\n\n```cpp\n" + LINES, "cpp",
                     CODE + CODE.replace("f()", "g()").replace("int first(int); ", ""), None),
    "a guide's": (LINES, "cpp shape", CODE, None),
    "a guide's, of no folder": (LINES, "cpp other", CODE, "need a folder"),
    "a guide's, changed": (LINES, "cpp shape", CODE.replace("one != 0", "one"), "at its place: if"),
    "other linker lines": (LINES + "```\n\n`__start_nmisafe_a = .;\nKEEP(*(a)) __stop_nmisafe_a = .;`\n\n```cpp\n"
                           + LINES, "cpp", CODE + CODE.replace("f()", "g()"), "at its place: KEEP"),
}


def self_test(compiler, library):
    for name, (listing, kind, code, expected) in CASES.items():
        with tempfile.TemporaryDirectory() as place:
            root = pathlib.Path(place)
            for folder in ("nmisafe/one", "docs/guides", f"{GUIDES}/shape", FOLDER, "kernel/boot"):
                (root / folder).mkdir(parents=True)
            guide = kind.startswith("cpp ")
            (root / LINKER_SCRIPT).write_text("__start_nmisafe_a = .;\n*(a)\n__stop_nmisafe_a = .;\n")
            page = "docs/guides/one.md" if guide else "nmisafe/one/README.md"
            (root / page).write_text(f"# one\n\n```{kind}\n{listing}```\n")
            if code is not None:
                (root / (f"{GUIDES}/shape/kernel.cpp" if guide else f"{FOLDER}/one.cpp")).write_text(code)
            found = "\n".join(check(root, compiler, library)[0])
        if (expected not in found) if expected else found:
            yield f"self-test '{name}': expected '{expected}', found '{found}'"


def main():
    root, compiler = pathlib.Path(sys.argv[-2]).resolve(), sys.argv[-1]
    if sys.argv[1] == "--self-test":
        problems, count = list(self_test(compiler, root)), len(CASES)
    else:
        problems, count = check(root, compiler, root)
        if count < 5:
            problems.append(f"only {count} pages with listings found")
    print("\n".join(problems) or f"{count} checked")
    return 1 if problems else 0


sys.exit(main())
