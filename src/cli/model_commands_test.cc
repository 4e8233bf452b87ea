// The model commands from end to end, on the tiny golden model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>

#include "cli/command_line.h"
#include "json/json.h"
#include "support/test_paths.h"

namespace autoglm {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

struct Outcome {
  int exit_code = 0;
  std::string out, err;
};

class ModelCommandsTest : public testing::Test {
 protected:
  const std::string model_ = GoldenFile("gguf/llama.gguf").string();

  static Outcome Run(std::vector<std::string> arguments, const std::string& input = "") {
    std::istringstream in(input);
    std::ostringstream out, err;
    Console console{.in = in, .out = out, .err = err};
    arguments.insert(arguments.begin(), "model");
    const int exit_code = RunCommandLine(arguments, console);
    return {exit_code, out.str(), err.str()};
  }

  static std::string Succeed(const std::vector<std::string>& arguments, const std::string& input = "") {
    const Outcome outcome = Run(arguments, input);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_THAT(outcome.err, IsEmpty());
    return outcome.out;
  }

  static std::string Fail(const std::vector<std::string>& arguments, const std::string& input = "") {
    const Outcome outcome = Run(arguments, input);
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_THAT(outcome.out, IsEmpty());
    return outcome.err;
  }

  static std::string WriteTemporary(const std::string& name, const std::string& text) {
    const std::filesystem::path path = std::filesystem::path(testing::TempDir()) / ("model_commands_test_" + name);
    std::ofstream(path, std::ios::binary) << text;
    return path.string();
  }

  static std::vector<Json> JsonLines(const std::string& text) {
    std::vector<Json> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) lines.push_back(*ParseJson(line));
    return lines;
  }

  static double Perplexity(const std::string& out) {
    std::smatch match;
    EXPECT_TRUE(std::regex_search(out, match, std::regex("perplexity\\s+([0-9.]+)"))) << out;
    return match.empty() ? 0 : std::stod(match[1]);
  }
};

TEST_F(ModelCommandsTest, InfoTellsShapeTypesAndMemory) {
  EXPECT_THAT(Succeed({"info", model_}), AllOf(HasSubstr("tiny random llama"), HasSubstr("llama (GGUF v3)"), HasSubstr("31 F32"),
                                               HasSubstr("4 heads over 2 key-value heads of 16 dimensions"),
                                               HasSubstr("512 tokens"), HasSubstr("gpt2 / gpt-2"), HasSubstr("ends at <eos>"),
                                               HasSubstr("chat template  yes"), HasSubstr("can be served  yes")));
}

TEST_F(ModelCommandsTest, InfoAsJsonAddsUp) {
  const Json info = *ParseJson(Succeed({"info", model_, "--json"}));
  EXPECT_EQ(info["architecture"], "llama");
  EXPECT_EQ(info["context_length"], 512);
  EXPECT_EQ(info["tensors"], 31);
  EXPECT_EQ(info["types"].size(), 1u);
  EXPECT_EQ(info["types"][0]["bytes"], info["tensor_bytes"]);
  EXPECT_EQ(info["tensor_bytes"].get<int64_t>(), info["parameters"].get<int64_t>() * 4);
  EXPECT_EQ(info["kv_bytes_per_token"], 3 * 2 * 16 * 2 * 2);  // layers x KV heads x dimensions x (key, value) x BF16
  EXPECT_EQ(info["tokenizer"]["eos"], Json::array({"<eos>"}));
  EXPECT_EQ(info["chat_template"], true);
  EXPECT_THAT(info["problems"], IsEmpty());
}

TEST_F(ModelCommandsTest, InfoRefusesWhatIsNoModel) {
  const std::string path = WriteTemporary("bad.gguf", "not a model");
  EXPECT_THAT(Fail({"info", path}), HasSubstr(path));
}

TEST_F(ModelCommandsTest, TokenizeShowsIdsAndPieces) {
  EXPECT_EQ(Succeed({"tokenize", model_, "--ids", "--text", "<eos>", "--parse-special"}), "2\n");
  const std::string plain = Succeed({"tokenize", model_, "--ids", "--text", "<eos>"});
  EXPECT_NE(plain, "2\n");
  EXPECT_EQ(Succeed({"tokenize", model_, "--text", "<eos>", "--parse-special"}), "       2  \"<eos>\"\n");
  const Json json = *ParseJson(Succeed({"tokenize", model_, "--json", "--text", "\"é"}));
  EXPECT_EQ(json["count"], json["ids"].size());
  EXPECT_EQ(json["pieces"].size(), json["ids"].size());
  EXPECT_EQ(json["pieces"][0], "\"");
}

TEST_F(ModelCommandsTest, TokenizeReadsStandardInputAsItIs) {
  EXPECT_EQ(Succeed({"tokenize", model_, "--ids"}, "at the end\n"),
            Succeed({"tokenize", model_, "--ids", "--text", "at the end\n"}));
  EXPECT_EQ(Succeed({"tokenize", model_, "--ids"}, ""), "\n");
  EXPECT_EQ(Succeed({"tokenize", model_, "--ids", "--text", ""}), "\n");
}

TEST_F(ModelCommandsTest, TemplateRendersWithoutALineFeedOfItsOwn) {
  const std::string context = R"({"messages": [{"role": "user", "content": "Hi"}], "add_generation_prompt": true})";
  EXPECT_EQ(Succeed({"template", model_, "--context", "-"}, context), "<user>Hi\n<assistant>");
  EXPECT_EQ(Succeed({"template", model_, "--context", WriteTemporary("c.json", context)}), "<user>Hi\n<assistant>");
  const std::string source = WriteTemporary("t.jinja", "{{ messages|length }}");
  EXPECT_EQ(Succeed({"template", source, "--context", "-"}, context), "1");
}

TEST_F(ModelCommandsTest, TemplateErrorsNameTheirPlace) {
  EXPECT_THAT(Fail({"template", model_, "--context", "-"}, "{"), HasSubstr("-: "));
  EXPECT_THAT(Fail({"template", model_, "--context", "-"}, "[]"), HasSubstr("must hold a JSON object"));
  EXPECT_THAT(Fail({"template", model_, "--context", "/nowhere.json"}), HasSubstr("/nowhere.json"));
  const std::string source = WriteTemporary("raises.jinja", "{{ raise_exception('no users here') }}");
  EXPECT_THAT(Fail({"template", source, "--context", "-"}, "{}"), HasSubstr("no users here"));
}

TEST_F(ModelCommandsTest, LogitsAreAJsonLineAPosition) {
  const std::vector<Json> lines = JsonLines(Succeed({"logits", model_, "--tokens", "1,2,3"}));
  ASSERT_EQ(lines.size(), 3u);
  for (size_t i = 0; i < lines.size(); ++i) {
    EXPECT_EQ(lines[i]["position"], i);
    EXPECT_EQ(lines[i]["token"], i + 1);
    EXPECT_EQ(lines[i]["logits"].size(), 512u);
  }
}

TEST_F(ModelCommandsTest, LogitsOfATextAreThoseOfItsTokens) {
  std::string ids = Succeed({"tokenize", model_, "--ids", "--text", "at the end"});
  ids.pop_back();
  EXPECT_EQ(Succeed({"logits", model_, "--text", "at the end"}), Succeed({"logits", model_, "--tokens", ids}));
}

TEST_F(ModelCommandsTest, LogitsDoNotDependOnTheNumberOfThreads) {
  for (const char* arithmetic : {"fast", "exact"}) {
    EXPECT_EQ(Succeed({"logits", model_, "--tokens", "5,6,7,8", "--threads", "1", "--arithmetic", arithmetic}),
              Succeed({"logits", model_, "--tokens", "5,6,7,8", "--threads", "3", "--arithmetic", arithmetic}));
  }
}

TEST_F(ModelCommandsTest, LogitsRefuseWhatTheModelDoesNotHave) {
  EXPECT_THAT(Fail({"logits", model_, "--tokens", "512"}), HasSubstr("token 512 is not one of this model's"));
  EXPECT_THAT(Fail({"logits", model_, "--text", ""}), HasSubstr("empty"));
  std::string many = "1";
  for (int i = 0; i < 512; ++i) many += ",1";
  EXPECT_THAT(Fail({"logits", model_, "--tokens", many}), HasSubstr("513 tokens are more than the model's context of 512"));
}

TEST_F(ModelCommandsTest, PerplexityIsWhatTheLogitsSay) {
  const std::string text = "the cat sat on the mat and then it went to the sea";
  const std::vector<Json> lines = JsonLines(Succeed({"logits", model_, "--text", text, "--arithmetic", "exact"}));
  double nll = 0;
  for (size_t i = 0; i + 1 < lines.size(); ++i) {
    double sum = 0;
    for (const Json& logit : lines[i]["logits"]) sum += std::exp(logit.get<double>());
    nll += std::log(sum) - lines[i]["logits"][lines[i + 1]["token"].get<size_t>()].get<double>();
  }
  const double expected = std::exp(nll / static_cast<double>(lines.size() - 1));
  const std::string file = WriteTemporary("text.txt", text);
  const std::string out = Succeed({"perplexity", model_, "--text", file, "--arithmetic", "exact"});
  EXPECT_NEAR(Perplexity(out), expected, expected * 1e-5);
  EXPECT_THAT(out, AllOf(HasSubstr("in 1 window of up to " + std::to_string(lines.size())), HasSubstr("tokens/s")));
}

TEST_F(ModelCommandsTest, LongTextIsScoredInWindows) {
  std::string text;
  for (int i = 0; i < 400; ++i) text += "abc defg ";
  const std::string file = WriteTemporary("long.txt", text);
  EXPECT_THAT(Succeed({"perplexity", model_, "--text", file}), HasSubstr("of up to 512"));
  EXPECT_THAT(Succeed({"perplexity", model_, "--text", file, "--context", "64"}), HasSubstr("of up to 64"));
}

TEST_F(ModelCommandsTest, PerplexityRefusesWhatItCannotScore) {
  EXPECT_THAT(Fail({"perplexity", model_, "--text", WriteTemporary("empty.txt", "")}), HasSubstr("at least two tokens"));
  EXPECT_THAT(Fail({"perplexity", model_, "--text", "/nowhere.txt"}), HasSubstr("cannot open /nowhere.txt"));
  EXPECT_THAT(Fail({"perplexity", model_, "--text", testing::TempDir()}), HasSubstr("is a folder"));
  EXPECT_THAT(Fail({"perplexity", model_, "--text", WriteTemporary("two.txt", "ab cd"), "--context", "600"}),
              HasSubstr("more than the model's 512"));
}

class QuantizeCommandTest : public ModelCommandsTest {
 protected:
  QuantizeCommandTest() { std::filesystem::remove(target_); }
  ~QuantizeCommandTest() override { std::filesystem::remove(target_); }

  const std::string target_ = (std::filesystem::path(testing::TempDir()) / "model_commands_test_quantised.gguf").string();
};

TEST_F(QuantizeCommandTest, WritesAModelThatAnswersAsBefore) {
  EXPECT_THAT(Succeed({"quantize", model_, target_, "--to", "q8_0"}), AllOf(HasSubstr(target_), HasSubstr("bits a weight")));
  const auto last_logits = [](const std::string& model) {
    return JsonLines(Succeed({"logits", model, "--tokens", "5,6,7,8", "--arithmetic", "exact"})).back()["logits"];
  };
  const Json before = last_logits(model_), after = last_logits(target_);
  ASSERT_EQ(before.size(), after.size());
  double error = 0, size = 0;
  for (size_t i = 0; i < before.size(); ++i) {
    error += std::pow(before[i].get<double>() - after[i].get<double>(), 2);
    size += std::pow(before[i].get<double>(), 2);
  }
  EXPECT_LT(std::sqrt(error / size), 0.03);
  EXPECT_GT(error, 0);
}

TEST_F(QuantizeCommandTest, ReplacesAFileOnlyWhenToldTo) {
  Succeed({"quantize", model_, target_, "--to", "q4_0"});
  const auto size = std::filesystem::file_size(target_);
  EXPECT_THAT(Fail({"quantize", model_, target_, "--to", "f32"}), HasSubstr("--force"));
  EXPECT_EQ(std::filesystem::file_size(target_), size);
  Succeed({"quantize", model_, target_, "--to", "f32", "--force"});
  EXPECT_GT(std::filesystem::file_size(target_), size);
}

TEST_F(QuantizeCommandTest, NeverWritesOverItsSource) {
  std::filesystem::copy_file(model_, target_);
  EXPECT_THAT(Fail({"quantize", target_, target_, "--to", "q8_0", "--force"}), HasSubstr("source itself"));
  EXPECT_EQ(std::filesystem::file_size(target_), std::filesystem::file_size(model_));
}

TEST_F(QuantizeCommandTest, ClumsyCallsAreRefusedWithAReason) {
  EXPECT_THAT(Fail({"quantize", model_, testing::TempDir(), "--to", "q8_0"}), HasSubstr("folder"));
  EXPECT_THAT(Fail({"quantize", model_, "/dev/null", "--to", "q8_0", "--force"}), HasSubstr("device"));
  EXPECT_THAT(Fail({"quantize", "missing.gguf", target_, "--to", "q8_0"}), HasSubstr("missing.gguf"));
  EXPECT_THAT(Fail({"quantize", model_, "/nowhere/at/all.gguf", "--to", "q8_0"}), HasSubstr("/nowhere/at/all.gguf"));
  const Outcome wrong_type = Run({"quantize", model_, target_, "--to", "int4"});
  EXPECT_EQ(wrong_type.exit_code, 2);
  EXPECT_THAT(wrong_type.err, AllOf(HasSubstr("int4"), HasSubstr("q4_k")));
  EXPECT_EQ(Run({"quantize", model_, target_}).exit_code, 2);
  EXPECT_FALSE(std::filesystem::exists(target_));
}

TEST_F(QuantizeCommandTest, Folder_BecomesAFileThatAnswersAlike) {
  const std::string folder = GoldenFile("models/llama").string();
  Succeed({"quantize", folder, target_, "--to", "f32"});
  EXPECT_THAT(Succeed({"info", target_}),
              AllOf(HasSubstr("llama (GGUF v3)"), HasSubstr("chat template  yes"), HasSubstr("can be served  yes")));
  const std::string text = WriteTemporary("text.txt", "The quick brown fox jumps over the lazy dog 42 times.");
  const auto perplexity = [&](const std::string& model) {
    return Perplexity(Succeed({"perplexity", model, "--text", text, "--arithmetic", "exact"}));
  };
  EXPECT_NEAR(perplexity(target_), perplexity(folder), 1e-3 * perplexity(folder));
}

TEST_F(QuantizeCommandTest, FolderWhoseTokenizerGgufCannotSay_IsRefused) {
  const std::string folder = GoldenFile("models/qwen2").string();  // without a tokenizer
  EXPECT_THAT(Fail({"quantize", folder, target_, "--to", "q8_0"}), HasSubstr("tokenizer"));
  EXPECT_FALSE(std::filesystem::exists(target_));
}

TEST_F(ModelCommandsTest, FoldersAreLookedIntoAsFilesAre) {
  const std::string folder = GoldenFile("models/llama").string();
  EXPECT_THAT(Succeed({"info", folder}),
              AllOf(HasSubstr("llama (safetensors)"), HasSubstr("tokenizer.json"), HasSubstr("can be served  yes")));
  EXPECT_EQ(Succeed({"tokenize", folder, "--text", "Hello", "--ids"}), Succeed({"tokenize", model_, "--text", "Hello", "--ids"}));
  const std::string context =
      WriteTemporary("context.json", R"({"messages":[{"role":"user","content":"Hi"}],"add_generation_prompt":true})");
  EXPECT_EQ(Succeed({"template", folder, "--context", context}), Succeed({"template", model_, "--context", context}));
}

TEST_F(QuantizeCommandTest, CutSource_LeavesNoFile) {
  std::ifstream whole(model_, std::ios::binary);
  const std::string bytes(std::istreambuf_iterator<char>(whole), {});
  const std::string cut = WriteTemporary("cut.gguf", bytes.substr(0, bytes.size() - 100));
  EXPECT_THAT(Fail({"quantize", cut, target_, "--to", "q8_0"}), HasSubstr("cut.gguf"));
  EXPECT_FALSE(std::filesystem::exists(target_));
}

TEST_F(ModelCommandsTest, Int8Precision_StaysNearTheModel) {
  const std::string text = WriteTemporary("text.txt", "The quick brown fox jumps over the lazy dog, again and again.");
  const double plain = Perplexity(Succeed({"perplexity", model_, "--text", text}));
  const double int8 = Perplexity(Succeed({"perplexity", model_, "--text", text, "--precision", "int8"}));
  EXPECT_NE(plain, int8);
  EXPECT_NEAR(int8 / plain, 1, 0.02);
  EXPECT_THAT(Run({"perplexity", model_, "--text", text, "--precision", "int4"}).err, HasSubstr("as-stored"));
}

}  // namespace
}  // namespace autoglm
