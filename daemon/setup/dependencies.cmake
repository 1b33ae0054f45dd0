# Finds what hearth builds with. Everything that is missing is named at once, with the command
# that installs it.
find_package(Threads REQUIRED)
find_package(PkgConfig)
find_package(nlohmann_json 3.11 QUIET)
find_package(spdlog QUIET)
find_package(fmt QUIET)
find_package(CLI11 QUIET)
find_package(doctest QUIET)
find_package(Boost 1.74 QUIET)
find_program(HEARTH_NPM npm)
find_program(HEARTH_PATCH patch)
find_path(HEARTH_TOMLPLUSPLUS toml++/toml.h)
if(PkgConfig_FOUND)
  pkg_check_modules(PCRE2 QUIET IMPORTED_TARGET libpcre2-8)
  pkg_check_modules(UTF8PROC QUIET IMPORTED_TARGET libutf8proc)
  pkg_check_modules(URING QUIET IMPORTED_TARGET liburing)
  pkg_check_modules(EDIT QUIET IMPORTED_TARGET libedit)
  pkg_check_modules(XXHASH QUIET IMPORTED_TARGET libxxhash)
  pkg_check_modules(LIBGIT2 QUIET IMPORTED_TARGET libgit2)
  pkg_check_modules(SQLITE QUIET IMPORTED_TARGET sqlite3>=3.37)
endif()

set(missing "")
foreach(pair "PkgConfig_FOUND:pkg-config" "nlohmann_json_FOUND:nlohmann-json3-dev" "spdlog_FOUND:libspdlog-dev"
             "CLI11_FOUND:libcli11-dev" "Boost_FOUND:libboost-dev" "HEARTH_NPM:npm" "HEARTH_PATCH:patch"
             "HEARTH_TOMLPLUSPLUS:libtomlplusplus-dev" "PCRE2_FOUND:libpcre2-dev" "UTF8PROC_FOUND:libutf8proc-dev"
             "URING_FOUND:liburing-dev" "fmt_FOUND:libfmt-dev" "EDIT_FOUND:libedit-dev"
             "XXHASH_FOUND:libxxhash-dev" "LIBGIT2_FOUND:libgit2-dev"
             "SQLITE_FOUND:libsqlite3-dev")
  string(REPLACE ":" ";" pair "${pair}")
  list(GET pair 0 found)
  list(GET pair 1 package)
  if(NOT ${found})
    list(APPEND missing ${package})
  endif()
endforeach()
if(HEARTH_TESTS AND NOT doctest_FOUND)
  list(APPEND missing doctest-dev)
endif()
if(missing)
  list(JOIN missing " " missing)
  message(FATAL_ERROR "Missing: ${missing}\nInstall with: sudo apt-get install ${missing}\n(or run ./daemon/quickstart, which does)")
endif()
