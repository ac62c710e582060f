// The verdict of a flawmap run on PNG images: inspect RUN/model.onnx IMAGE.png...
//
// g++ -std=c++17 -O2 -I ORT/include -I STB inspect.cpp -L ORT/lib -lonnxruntime -o inspect
// ORT: an unpacked release of ONNX Runtime (github.com/microsoft/onnxruntime/releases);
// STB: the folder of stb_image.h (github.com/nothings/stb).

#include <onnxruntime_cxx_api.h>

#define STB_IMAGE_IMPLEMENTATION
#include <stb_image.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <map>
#include <stdexcept>
#include <string>

#include "resize.hpp"

namespace {

using flawmap::Image;

// Flawmap's entries in the network's metadata, by keys without "flawmap.".
std::map<std::string, std::string> read_metadata(const Ort::Session& session) {
    const std::string prefix = "flawmap.";
    Ort::AllocatorWithDefaultOptions allocator;
    const Ort::ModelMetadata metadata = session.GetModelMetadata();
    std::map<std::string, std::string> found;
    for (const auto& key : metadata.GetCustomMetadataMapKeysAllocated(allocator)) {
        const std::string name = key.get();
        if (name.compare(0, prefix.size(), prefix) != 0) continue;
        const auto value = metadata.LookupCustomMetadataMapAllocated(name.c_str(), allocator);
        found[name.substr(prefix.size())] = value.get();
    }
    if (found.count("format") == 0 || found.at("format") != "1")
        throw std::runtime_error("not a network of this version of flawmap");
    if (!found.at("requires").empty())
        throw std::runtime_error("this program does not know how to apply: " +
                                 found.at("requires"));
    return found;
}

// The pixels as the file holds them: grey becomes RGB, alpha is dropped, as in flawmap.
Image decode(const std::string& path) {
    if (stbi_is_16_bit(path.c_str()) != 0)
        throw std::runtime_error(path + ": an 8-bit PNG is wanted");
    Image image;
    int stored = 0;
    stbi_uc* pixels = stbi_load(path.c_str(), &image.width, &image.height, &stored, 3);
    if (pixels == nullptr) throw std::runtime_error(path + ": " + stbi_failure_reason());
    image.pixels.assign(pixels, pixels + std::size_t{3} * image.width * image.height);
    stbi_image_free(pixels);
    return image;
}

}  // namespace

int main(int count, char** arguments) try {
    if (count < 2) throw std::runtime_error("give RUN/model.onnx and images");
    Ort::Env environment(ORT_LOGGING_LEVEL_WARNING, "flawmap");
#ifdef _WIN32
    const std::string narrow = arguments[1];
    const std::wstring model(narrow.begin(), narrow.end());
#else
    const std::string model = arguments[1];
#endif
    Ort::Session session(environment, model.c_str(), Ort::SessionOptions{});
    const auto about = read_metadata(session);
    const int height = std::stoi(about.at("input.height"));
    const int width = std::stoi(about.at("input.width"));
    const double review = std::stod(about.at("threshold.review"));
    const double reject = std::stod(about.at("threshold.reject"));
    const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    const std::array<std::int64_t, 4> shape{1, height, width, 3};
    const char* inputs[] = {about.at("input.name").c_str()};
    const char* outputs[] = {"map", "score"};
    for (int i = 2; i < count; ++i) {
        Image image = flawmap::resize(decode(arguments[i]), height, width);
        Ort::Value input = Ort::Value::CreateTensor<std::uint8_t>(
            memory, image.pixels.data(), image.pixels.size(), shape.data(), shape.size());
        auto found = session.Run(Ort::RunOptions{nullptr}, inputs, &input, 1, outputs, 2);
        const double score = *found[1].GetTensorData<float>();
        // Strictly above: the threshold is itself the score of a good part.
        const char* verdict = score > reject ? "reject" : score > review ? "review" : "good";
        std::printf("%s\t%.9g\t%s\n", verdict, score, arguments[i]);
    }
    return 0;
} catch (const std::exception& error) {
    std::fprintf(stderr, "inspect: %s\n", error.what());
    return 1;
}
