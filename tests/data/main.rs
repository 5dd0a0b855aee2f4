//! Reading data: tables, NumPy files, SVMlight files, ratings.

mod columnar;
mod damage;
mod encoding;
mod large;
mod ratings;
mod svmlight;
mod tables;
