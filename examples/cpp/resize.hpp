// Resizing as Pillow does it (BILINEAR, antialiased), to the bit. C++17, nothing but the standard.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace flawmap {

struct Image {  // rows of pixels of `channels` bytes each
    std::vector<std::uint8_t> pixels;
    int height = 0;
    int width = 0;
    int channels = 3;
};

namespace detail {

constexpr int kBits = 22;  // of a weight in fixed point: 32 less 8 of a pixel and 2 to spare

struct Reads {  // what one new position reads: the first old one, and the weights from there on
    int first = 0;
    std::vector<std::int32_t> shares;
};

inline std::vector<Reads> triangles(int length, int new_length) {
    const double scale = static_cast<double>(length) / new_length;
    const double support = std::max(scale, 1.0);  // half the triangle: wider where it shrinks
    std::vector<Reads> found(static_cast<std::size_t>(new_length));
    for (int to = 0; to < new_length; ++to) {
        const double centre = (to + 0.5) * scale;
        const int first = std::max(0, static_cast<int>(centre - support + 0.5));
        const int last = std::min(length, static_cast<int>(centre + support + 0.5));
        std::vector<double> heights;
        double sum = 0.0;
        for (int at = first; at < last; ++at) {
            heights.push_back(std::max(0.0, 1.0 - std::abs((at - centre + 0.5) * (1.0 / support))));
            sum += heights.back();
        }
        Reads& reads = found[static_cast<std::size_t>(to)];
        reads.first = first;
        for (const double one : heights)
            reads.shares.push_back(static_cast<std::int32_t>(0.5 + one / sum * (1 << kBits)));
    }
    return found;
}

// Scale `length` positions of `values` bytes each to `new_length`, in each of `count` rows.
inline std::vector<std::uint8_t> along(const std::vector<std::uint8_t>& pixels, int count,
                                       int length, int new_length, int values) {
    const std::vector<Reads> weights = triangles(length, new_length);
    std::vector<std::uint8_t> found(static_cast<std::size_t>(count) * new_length * values);
    for (int row = 0; row < count; ++row) {
        for (int to = 0; to < new_length; ++to) {
            const Reads& reads = weights[static_cast<std::size_t>(to)];
            const std::uint8_t* from =
                pixels.data() + (static_cast<std::size_t>(row) * length + reads.first) * values;
            std::uint8_t* into =
                found.data() + (static_cast<std::size_t>(row) * new_length + to) * values;
            for (int value = 0; value < values; ++value) {
                std::int32_t sum = 1 << (kBits - 1);  // so that the shift rounds
                for (std::size_t i = 0; i < reads.shares.size(); ++i)
                    sum += from[i * static_cast<std::size_t>(values) + value] * reads.shares[i];
                into[value] = static_cast<std::uint8_t>(std::min(255, sum >> kBits));
            }
        }
    }
    return found;
}

}  // namespace detail

// Along rows first, then along columns; the result is rounded to 8 bits in between, and a direction
// that stays as long is left alone.
inline Image resize(Image image, int height, int width) {
    if (image.width != width) {
        image.pixels =
            detail::along(image.pixels, image.height, image.width, width, image.channels);
        image.width = width;
    }
    if (image.height != height) {  // one position is a whole row
        image.pixels =
            detail::along(image.pixels, 1, image.height, height, width * image.channels);
        image.height = height;
    }
    return image;
}

}  // namespace flawmap
