// Writes, checks and reads one prefix file.
#include "engine/prefix/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <numeric>
#include <system_error>
#include <utility>

#include "engine/support/atomic_file.hpp"
#include "engine/support/digest.hpp"
#include "engine/support/parallel_for.hpp"

namespace hearth::engine {

namespace {

constexpr std::uint64_t magic = 0x3258'4650'5448'5248;      // "HRHTPFX2"
constexpr std::uint64_t old_magic = 0x3158'4650'5448'5248;  // with other checksums and names
constexpr std::size_t page = 4096;                          // what O_DIRECT aligns to
constexpr std::size_t read_piece = std::size_t{2} << 20;
constexpr std::size_t worth_a_thread = std::size_t{4} << 20;  // bytes to be checksummed
constexpr std::size_t max_threads = 4;                        // that do

enum SectionName : std::size_t { tokens_section, kv_section, output_section, state_section };

struct Section {
  std::uint64_t bytes = 0;
  std::uint64_t checksum = 0;
};

struct Header {
  std::uint64_t magic = 0;
  std::uint64_t fingerprint = 0;
  PrefixPlace place;
  std::array<Section, 4> sections;
  std::int64_t decoded_from = 0;  // files of earlier versions have zeros here
};
using HeaderPage = std::array<std::byte, page>;
static_assert(sizeof(Header) <= page - sizeof(std::uint64_t));

std::uint64_t padded(std::uint64_t bytes) {
  return (bytes + page - 1) / page * page;
}

std::uint64_t offset_of(const Header& header, std::size_t section) {
  std::uint64_t offset = page;
  for (std::size_t i = 0; i < section; ++i) offset += padded(header.sections[i].bytes);
  return offset;
}

std::string reason(int error) {
  return std::generic_category().message(error);
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

// The parts of a section; each is checksummed alone, so that several threads can.
using Parts = std::vector<std::span<const std::byte>>;

Parts parts_of(const StateSnapshot& snapshot) {
  return {snapshot.parts().begin(), snapshot.parts().end()};
}

std::array<Parts, 4> sections_of(const PrefixRecord& record) {
  std::array<Parts, 4> sections;
  sections[tokens_section] = {std::as_bytes(std::span(record.tokens))};
  sections[kv_section] = parts_of(record.kv);
  if (!record.state) return sections;
  sections[output_section] = {std::as_bytes(std::span(record.hidden)),
                              std::as_bytes(std::span(record.logits))};
  sections[state_section] = parts_of(record.state);
  return sections;
}

std::uint64_t bytes_of(const Parts& parts) {
  std::uint64_t total = 0;
  for (const std::span<const std::byte> part : parts) total += part.size();
  return total;
}

std::uint64_t checksum_of(const Parts& parts) {
  std::vector<std::uint64_t> sums(parts.size());
  const auto threads = static_cast<std::size_t>(bytes_of(parts) / worth_a_thread + 1);
  parallel_for(parts.size(), std::min(threads, max_threads),
               [&](std::size_t i) { sums[i] = digest(parts[i], i); });
  return digest(std::as_bytes(std::span(sums)));
}

HeaderPage encode(const Header& header) {
  HeaderPage bytes{};
  std::memcpy(bytes.data(), &header, sizeof header);
  const std::span<const std::byte> covered = std::span(bytes).first(page - sizeof(std::uint64_t));
  const std::uint64_t sum = digest(covered);
  std::memcpy(bytes.data() + covered.size(), &sum, sizeof sum);
  return bytes;
}

void write_padded(AtomicFile& file, const Parts& parts) {
  for (const std::span<const std::byte> part : parts) file.write(part);
  const std::uint64_t bytes = bytes_of(parts);
  const HeaderPage zeros{};
  file.write(std::span(zeros).first(static_cast<std::size_t>(padded(bytes) - bytes)));
}

// Has `fill` write the content. On an Error there is no such file, also none that may vanish again.
template <typename Fill>
void replace_file(const std::filesystem::path& path, std::uint64_t bytes,
                  const WriteFunction& write, const Fill& fill) {
  try {
    AtomicFile file(path, write);
    file.expect(bytes);
    fill(file);
    file.sync();
    static_cast<void>(::posix_fadvise(file.descriptor(), 0, 0, POSIX_FADV_DONTNEED));
    file.publish();
  } catch (const std::exception&) {
    ::unlink(path.c_str());
    throw;
  }
}

template <typename Value>
std::vector<Value> values(std::span<const std::byte> bytes) {
  std::vector<Value> result(bytes.size() / sizeof(Value));
  if (!result.empty()) std::memcpy(result.data(), bytes.data(), result.size() * sizeof(Value));
  return result;
}

}  // namespace

// A node's file, opened and its header checked.
class PrefixInput {
 public:
  PrefixInput(const std::filesystem::path& path, std::uint64_t fingerprint,
              const PrefixLayout& layout)
      : path_(path), file_(open()) {
    struct stat status {};
    if (::fstat(file_.get(), &status) != 0 || !S_ISREG(status.st_mode)) damaged("no regular file");
    size_ = static_cast<std::uint64_t>(status.st_size);
    check(fingerprint, layout);
  }

  const Header& header() const { return header_; }
  std::uint64_t size() const { return size_; }

  // Fills `to` from there on; page-aligned, all of it. Several threads may.
  void read(std::uint64_t offset, std::span<std::byte> to) const {
    const auto bytes = static_cast<off_t>(to.size());
    const auto begin = static_cast<off_t>(offset);
    for (auto at = begin; !to.empty();) {
      const ssize_t got = ::pread(file_.get(), to.data(), to.size(), at);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) damaged(reason(got < 0 ? errno : ENODATA).c_str());
      to = to.subspan(static_cast<std::size_t>(got));
      at += got;
    }
    if (!direct_)
      static_cast<void>(::posix_fadvise(file_.get(), begin, bytes, POSIX_FADV_DONTNEED));
  }

  void require_zeros(std::span<const std::byte> padding) const {
    if (std::ranges::any_of(padding, [](std::byte byte) { return byte != std::byte{}; }))
      damaged("bytes between its sections");
  }

  [[noreturn]] void damaged(const char* why) const {
    throw CorruptCheckpoint(path_.string() + " is damaged: " + why);
  }

 private:
  int open() {
    const int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    int fd = ::open(path_.c_str(), flags | O_DIRECT);
    direct_ = fd >= 0;
    if (fd < 0 && errno == EINVAL) fd = ::open(path_.c_str(), flags);  // a file system without
    if (fd >= 0) return fd;
    const std::string what = path_.string() + " cannot be opened: " + reason(errno);
    if (errno == ENOENT || errno == ELOOP) throw CorruptCheckpoint(what);
    throw Error(what);
  }

  // Everything that the header says is bounded by the layout before it is believed.
  void check(std::uint64_t fingerprint, const PrefixLayout& layout) {
    if (size_ < page) damaged("cut short");
    const HostBlock block(page);
    read(0, block.bytes());
    const std::span<const std::byte> bytes = block.bytes();
    std::memcpy(&header_, bytes.data(), sizeof header_);
    if (header_.magic != magic) damaged("no prefix checkpoint");
    HeaderPage again = encode(header_);
    if (!std::ranges::equal(bytes, again)) damaged("a wrong checksum");
    if (header_.fingerprint != fingerprint)
      throw CorruptCheckpoint(path_.string() + " belongs to another checkpoint or configuration");

    constexpr std::int64_t max_tokens = 1 << 24;
    const PrefixPlace& place = header_.place;
    if (place.begin < 0 || place.begin > place.end || place.end < 1 || place.end > max_tokens)
      damaged("an impossible range");
    const std::int64_t from = header_.decoded_from;
    if (from != 0 && (from < place.begin || from >= place.end))
      damaged("an impossible end of its prompt");
    const auto count = static_cast<std::uint64_t>(place.end - place.begin);
    const std::vector<std::size_t> kv = layout.kv_parts(place.begin, place.end);
    const auto& sections = header_.sections;
    const std::uint64_t hidden = layout.hidden * sizeof(float);
    const std::uint64_t logits = layout.vocab * sizeof(float);
    const std::uint64_t state = sections[state_section].bytes;
    const std::uint64_t output = sections[output_section].bytes;
    const bool carries_state = state == layout.state_bytes() && output >= hidden;
    const bool fits =
        sections[tokens_section].bytes == count * sizeof(TokenId) &&
        sections[kv_section].bytes == std::accumulate(kv.begin(), kv.end(), std::uint64_t{0}) &&
        (output == 0 ? state == 0
                     : carries_state && (output == hidden || output == hidden + logits));
    if (!fits) damaged("sections of a wrong size");
    if (size_ != offset_of(header_, sections.size())) damaged("cut short");
  }

  const std::filesystem::path path_;
  bool direct_ = false;  // past the page cache; set while file_ is opened
  Descriptor file_;
  std::uint64_t size_ = 0;
  Header header_;
};

std::uint64_t prefix_file_bytes(const PrefixRecord& record) {
  std::uint64_t total = page;
  for (const Parts& section : sections_of(record)) total += padded(bytes_of(section));
  return total;
}

void write_prefix_file(const std::filesystem::path& path, std::uint64_t fingerprint,
                       const PrefixRecord& record, const WriteFunction& write) {
  const std::array<Parts, 4> sections = sections_of(record);
  Header header{magic, fingerprint, record.place, {}, record.decoded_from};
  for (std::size_t i = 0; i < sections.size(); ++i)
    header.sections[i] = {bytes_of(sections[i]), checksum_of(sections[i])};

  replace_file(path, prefix_file_bytes(record), write, [&](AtomicFile& file) {
    file.write(encode(header));
    for (const Parts& section : sections) write_padded(file, section);
  });
}

void write_whole_file(const std::filesystem::path& path, std::span<const std::byte> bytes,
                      const WriteFunction& write) {
  replace_file(path, bytes.size(), write, [&](AtomicFile& file) { file.write(bytes); });
}

bool is_old_prefix_file(const std::filesystem::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW));
  std::uint64_t begin = 0;
  return file.get() >= 0 && ::pread(file.get(), &begin, sizeof begin, 0) == sizeof begin &&
         begin == old_magic;
}

PrefixHead read_prefix_head(const std::filesystem::path& path, std::uint64_t fingerprint,
                            const PrefixLayout& layout) {
  const PrefixInput input(path, fingerprint, layout);
  const Header& header = input.header();
  const auto& section = header.sections;
  PrefixHead head;
  head.place = header.place;
  head.has_state = section[output_section].bytes > 0;
  head.has_logits = section[output_section].bytes > layout.hidden * sizeof(float);
  head.bytes = input.size();
  head.decoded_from = header.decoded_from;
  const auto bytes = static_cast<std::size_t>(section[tokens_section].bytes);
  const HostBlock block(static_cast<std::size_t>(padded(bytes)));
  input.read(offset_of(header, tokens_section), block.bytes());
  const std::span<const std::byte> tokens = block.bytes().first(bytes);
  input.require_zeros(block.bytes().subspan(bytes));
  if (checksum_of({tokens}) != section[tokens_section].checksum) input.damaged("a wrong checksum");
  head.tokens = values<TokenId>(tokens);
  return head;
}

// A section that comes piece by piece.
struct PrefixReading::Section {
  std::uint64_t offset = 0;  // in the file
  std::uint64_t checksum = 0;
  std::shared_ptr<HostBlock> block;
  std::size_t used = 0;  // bytes of the block; the others are padding
  bool handed_on = true;
  // The size of each part.
  std::vector<std::span<const std::byte>> parts;
  std::vector<std::atomic<std::size_t>> missing;  // pieces that have not come
  std::vector<std::uint64_t> sums;
};

PrefixReading::PrefixReading(const std::filesystem::path& path, std::uint64_t fingerprint,
                             const PrefixLayout& layout, const PrefixPlace& expected,
                             RequestedParts requested)
    : input_(std::make_unique<PrefixInput>(path, fingerprint, layout)) {
  const PrefixPlace& place = input_->header().place;
  if (place.id != expected.id || place.parent != expected.parent || place.begin != expected.begin ||
      place.end != expected.end) {
    input_->damaged("another file has its name");
  }
  record_.place = place;
  if (requested.kv) record_.kv = want(kv_section, layout.kv_parts(place.begin, place.end));
  if (!requested.state) return;
  const auto output = static_cast<std::size_t>(input_->header().sections[output_section].bytes);
  if (output == 0) input_->damaged("its state is missing");
  record_.state = want(state_section, layout.state_parts);
  const std::size_t hidden = layout.hidden * sizeof(float);
  want(output_section, std::array{hidden, output - hidden});
  sections_.back()->handed_on = false;
}

PrefixReading::~PrefixReading() = default;

StateSnapshot PrefixReading::want(std::size_t name, std::span<const std::size_t> parts) {
  const Header& header = input_->header();
  const auto bytes = static_cast<std::size_t>(header.sections[name].bytes);
  sections_.push_back(std::make_unique<Section>());
  Section& section = *sections_.back();
  section.offset = offset_of(header, name);
  section.checksum = header.sections[name].checksum;
  section.block = std::make_shared<HostBlock>(static_cast<std::size_t>(padded(bytes)));
  section.used = bytes;
  StateSnapshot snapshot = split_block(section.block, parts);
  section.parts.assign(snapshot.parts().begin(), snapshot.parts().end());
  section.missing = std::vector<std::atomic<std::size_t>>(parts.size());
  section.sums.resize(parts.size());
  std::size_t at = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (parts[i] == 0) {
      section.sums[i] = engine::digest({}, i);
    } else {
      section.missing[i] = (at + parts[i] - 1) / read_piece - at / read_piece + 1;
    }
    at += parts[i];
  }
  for (at = 0; at < section.block->bytes().size(); at += read_piece)
    pieces_.push_back({&section, at});
  return snapshot;
}

void PrefixReading::read(std::size_t piece, const Arrived& arrived) {
  const auto [to, offset] = pieces_[piece];
  const std::span<std::byte> rest = to->block->bytes().subspan(offset);
  const std::span<std::byte> bytes = rest.first(std::min(read_piece, rest.size()));
  input_->read(to->offset + offset, bytes);
  for (std::size_t i = 0; i < to->parts.size(); ++i) {
    const std::span<const std::byte> part = to->parts[i];
    const auto begin = static_cast<std::size_t>(part.data() - to->block->bytes().data());
    const bool touched = begin < offset + bytes.size() && offset < begin + part.size();
    if (!touched || --to->missing[i] > 0) continue;
    to->sums[i] = engine::digest(part, i);
    if (to->handed_on) arrived(part);
  }
}

void PrefixReading::finish() {
  for (const auto& section : sections_) {
    input_->require_zeros(section->block->bytes().subspan(section->used));
    if (engine::digest(std::as_bytes(std::span(section->sums))) != section->checksum)
      input_->damaged("a wrong checksum");
    if (section->handed_on) continue;
    record_.hidden = values<float>(section->parts[0]);
    record_.logits = values<float>(section->parts[1]);
  }
}

}  // namespace hearth::engine
