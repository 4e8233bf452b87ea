#include "tokenizer/detokenizer.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "base/utf8.h"
#include "support/tiny_vocabulary.h"

namespace autoglm {
namespace {

// Ids 0 to 255 of a TinyVocabulary are the bytes.
std::vector<std::string> PushBytes(const Tokenizer& tokenizer, std::string_view bytes) {
  Detokenizer detokenizer(tokenizer);
  std::vector<std::string> texts;
  for (const char byte : bytes) texts.push_back(detokenizer.Push(static_cast<uint8_t>(byte)));
  texts.push_back(detokenizer.Flush());
  return texts;
}

std::string Join(const std::vector<std::string>& texts) {
  std::string joined;
  for (const auto& text : texts) joined += text;
  return joined;
}

TEST(Detokenizer, CharacterComesWithItsLastByte) {
  const auto tokenizer = TinyVocabulary().Build();
  EXPECT_EQ(PushBytes(*tokenizer, "a你"), (std::vector<std::string>{"a", "", "", "你", ""}));
  EXPECT_EQ(PushBytes(*tokenizer, "👍"), (std::vector<std::string>{"", "", "", "👍", ""}));
}

TEST(Detokenizer, TokenThatEndsOneCharacterAndBeginsAnother) {
  TinyVocabulary tiny;
  const TokenId token = tiny.AddNormal("\xA9x\xC3");
  const auto tokenizer = tiny.Build();
  Detokenizer detokenizer(*tokenizer);
  EXPECT_EQ(detokenizer.Push(0xC3), "");
  EXPECT_EQ(detokenizer.Push(token), "éx");
  EXPECT_EQ(detokenizer.Push(0xA8), "è");
  EXPECT_EQ(detokenizer.Flush(), "");
}

// The expectations are those of the WHATWG decoder: TextDecoder in a browser, bytes.decode(errors="replace") in Python.
TEST(Detokenizer, EachMaximalSubpart_BecomesOneReplacementCharacter) {
  const auto tokenizer = TinyVocabulary().Build();
  const auto decode = [&](std::string_view bytes) { return Join(PushBytes(*tokenizer, bytes)); };
  EXPECT_EQ(decode("\xC0\x80"), "\uFFFD\uFFFD");                                              // overlong
  EXPECT_EQ(decode("\xE0\x80\x80"), "\uFFFD\uFFFD\uFFFD");                                    // overlong
  EXPECT_EQ(decode("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");                                    // a surrogate
  EXPECT_EQ(decode("\xF4\x90\x80\x80"), "\uFFFD\uFFFD\uFFFD\uFFFD");                          // above U+10FFFF
  EXPECT_EQ(decode("\xF0\x9F\x91z"), "\uFFFDz");                                              // cut: one subpart
  EXPECT_EQ(decode("\xF0\x80z"), "\uFFFD\uFFFDz");                                            // overlong from its second byte
  EXPECT_EQ(decode("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), "\uFFFD\uFFFD\uFFFD\uFFFD\x41");  // Unicode table 3-11
  EXPECT_EQ(decode("\xFF\xFE"), "\uFFFD\uFFFD");
}

TEST(Detokenizer, EndInsideACharacter_FlushesOneReplacementCharacter) {
  const auto tokenizer = TinyVocabulary().Build();
  EXPECT_EQ(PushBytes(*tokenizer, "a\xF0\x9F\x91"), (std::vector<std::string>{"a", "", "", "", "\uFFFD"}));
  Detokenizer detokenizer(*tokenizer);
  detokenizer.Push(0xC3);
  EXPECT_EQ(detokenizer.Flush(), "\uFFFD");
  EXPECT_EQ(detokenizer.Flush(), "");
  EXPECT_EQ(detokenizer.Push('a'), "a");
}

TEST(Detokenizer, ControlTokensAndUnknownIds_GiveNothing) {
  TinyVocabulary tiny;
  const TokenId end = tiny.AddToken("<|end|>", TokenType::kControl);
  const auto tokenizer = tiny.Build();
  Detokenizer detokenizer(*tokenizer);
  EXPECT_EQ(detokenizer.Push(end), "");
  EXPECT_EQ(detokenizer.Push(end + 1), "");
  EXPECT_EQ(detokenizer.Push(-1), "");
  EXPECT_EQ(detokenizer.Flush(), "");
}

TEST(Detokenizer, AnyBytes_GiveValidUtf8AtEveryStep_HoweverTokensCutThem) {
  constexpr uint64_t kSeed = 8;
  Random random(kSeed);
  const auto atoms =
      std::to_array<std::string_view>({"a", "é", "你", "👍", "\xC3", "\xE4\xBD", "\xF0\x9F", "\x80", "\xED\xA0", "\xFF"});
  for (int round = 0; round < 300; ++round) {
    std::string bytes;
    for (uint64_t i = random.NextBelow(12); i > 0; --i) bytes += atoms[random.NextBelow(atoms.size())];
    TinyVocabulary tiny;
    for (std::string_view rest = bytes; !rest.empty();) {
      const size_t length = std::min<size_t>(rest.size(), 1 + random.NextBelow(5));
      tiny.AddNormal(rest.substr(0, length));
      rest.remove_prefix(length);
    }
    const auto tokenizer = tiny.Build();
    Detokenizer detokenizer(*tokenizer);
    std::string text;
    for (TokenId token = 256; token < tokenizer->vocab_size(); ++token) {
      const std::string step = detokenizer.Push(token);
      EXPECT_EQ(ValidUtf8Prefix(step), step.size()) << "seed " << kSeed;
      text += step;
    }
    text += detokenizer.Flush();
    EXPECT_EQ(text, Join(PushBytes(*tokenizer, bytes))) << "seed " << kSeed;
  }
}

struct Stopped {
  std::string text;
  bool stopped = false;
  bool operator==(const Stopped&) const = default;
};

void PrintTo(const Stopped& stopped, std::ostream* out) { *out << stopped.text << (stopped.stopped ? " (stopped)" : ""); }

Stopped Feed(const std::vector<std::string>& stop, const std::vector<std::string>& pieces) {
  StopMatcher matcher(stop);
  Stopped all;
  for (const auto& piece : pieces) {
    const StopMatcher::Output output = matcher.Push(piece);
    all.text += output.text;
    all.stopped = output.stopped;
    if (all.stopped) break;
  }
  all.text += matcher.Flush();
  return all;
}

TEST(StopMatcher, TextEndsRightBeforeTheStopString_HoweverItIsCut) {
  const Stopped expected = {"one ", true};
  EXPECT_EQ(Feed({"STOP"}, {"one STOP two"}), expected);
  EXPECT_EQ(Feed({"STOP"}, {"one ", "ST", "O", "P two"}), expected);
  EXPECT_EQ(Feed({"STOP"}, {"on", "e S", "TOP"}), expected);
}

TEST(StopMatcher, HoldsBackOnlyWhatCouldStillBecomeAStopString) {
  StopMatcher matcher({"\n\nUser:"});
  EXPECT_EQ(matcher.Push("a\n").text, "a");
  EXPECT_EQ(matcher.Push("b\n\nUse").text, "\nb");
  EXPECT_EQ(matcher.Push("ful").text, "\n\nUseful");
  EXPECT_EQ(matcher.Push("\n\n\nUs").text, "\n");
  EXPECT_EQ(matcher.Flush(), "\n\nUs");
}

TEST(StopMatcher, TheMatchThatEndsFirstCounts_AndTheLongestOfThose) {
  EXPECT_EQ(Feed({"abcd", "bc"}, {"xabcd"}), (Stopped{"xa", true}));
  EXPECT_EQ(Feed({"c", "bc", "abc"}, {"xabc"}), (Stopped{"x", true}));
  EXPECT_EQ(Feed({"cd", "ab"}, {"xab", "cd"}), (Stopped{"x", true}));
}

TEST(StopMatcher, WithoutStopStrings_NothingIsHeldBack) {
  StopMatcher matcher({});
  EXPECT_EQ(matcher.Push("abc").text, "abc");
  StopMatcher empty({""});
  EXPECT_EQ(empty.Push("abc").text, "abc");
  EXPECT_FALSE(empty.Push("").stopped);
}

TEST(StopMatcher, AfterAStop_NothingFollows) {
  StopMatcher matcher({"."});
  EXPECT_TRUE(matcher.Push("a.b").stopped);
  const StopMatcher::Output after = matcher.Push("c.d");
  EXPECT_EQ(after.text, "");
  EXPECT_TRUE(after.stopped);
  EXPECT_EQ(matcher.Flush(), "");
}

// For each end, in order, for each stop string: the definition, on the whole text at once.
Stopped FeedNaively(const std::vector<std::string>& stop, const std::string& text) {
  for (size_t end = 0; end <= text.size(); ++end) {
    size_t longest = 0;
    for (const auto& one : stop) {
      if (std::string_view(text).substr(0, end).ends_with(one)) longest = std::max(longest, one.size());
    }
    if (longest > 0) return {text.substr(0, end - longest), true};
  }
  return {text, false};
}

TEST(StopMatcher, RandomStopStringsAndCuts_AgreeWithASearchOfTheWholeText) {
  constexpr uint64_t kSeed = 9;
  Random random(kSeed);
  const auto random_text = [&](size_t length) {
    std::string text(length, ' ');
    for (char& c : text) c = "ab"[random.NextBelow(2)];
    return text;
  };
  int num_stopped = 0;
  for (int round = 0; round < 5000; ++round) {
    std::vector<std::string> stop(random.NextBelow(4));
    for (auto& one : stop) one = random_text(1 + random.NextBelow(8));
    const std::string text = random_text(random.NextBelow(24));
    std::vector<std::string> pieces;
    for (size_t begin = 0; begin < text.size();) {
      pieces.push_back(text.substr(begin, random.NextBelow(5)));
      begin += pieces.back().size();
    }
    const Stopped expected = FeedNaively(stop, text);
    EXPECT_EQ(Feed(stop, pieces), expected) << text << ", seed " << kSeed;
    num_stopped += expected.stopped ? 1 : 0;
  }
  EXPECT_GT(num_stopped, 1000);
  EXPECT_LT(num_stopped, 4500);
}

}  // namespace
}  // namespace autoglm
