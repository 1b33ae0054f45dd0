// What stands as %XX in a URI.
#include "lsp/protocol/uri.hpp"

#include <doctest/doctest.h>

#include <string>

namespace hearth::tests {
namespace {

using namespace lsp;

TEST_CASE("every byte comes back from a URI as it was") {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  CHECK(percent_decoded(percent_encoded(all)) == all);
  CHECK(percent_decoded(percent_encoded(all, "/%")).size() == all.size());
  for (const char c : percent_encoded(all)) CHECK(c > ' ');
}

TEST_CASE("letters, digits and -._~ are not encoded, nor is what is to be kept") {
  CHECK(percent_encoded("aZ09-._~") == "aZ09-._~");
  CHECK(percent_encoded("/a b/ü%") == "%2Fa%20b%2F%C3%BC%25");
  CHECK(percent_encoded("/a b", "/") == "/a%20b");
}

TEST_CASE("a percent sign without two digits stays") {
  CHECK(percent_decoded("100%") == "100%");
  CHECK(percent_decoded("%4") == "%4");
  CHECK(percent_decoded("%zz%20%2") == "%zz %2");
  CHECK(percent_decoded("%2f%2F") == "//");
}

TEST_CASE("a path becomes a file URI and is read back for people") {
  CHECK(file_uri("/home/me/My code/ü.py") == "file:///home/me/My%20code/%C3%BC.py");
  CHECK(readable_uri("file:///home/me/My%20code/%C3%BC.py") == "/home/me/My code/ü.py");
  CHECK(readable_uri("untitled:a%20b") == "untitled:a%20b");
  CHECK(readable_uri("file:///%FF") == "/\xEF\xBF\xBD");
}

}  // namespace
}  // namespace hearth::tests
