// Pointwise part of LSTM; emitted from its equations.
#include "cell.h"

namespace {
using namespace tidegate;

struct forward_0 {
  static constexpr int kPlaces = 22;
  template <class At>
  static TIDEGATE_INLINE void run(const At& at) {
    const auto v1 = at.load(0);  // c before the step
    const auto v2 = at.load(1);  // W.i
    const auto v3 = at.load(2);  // W.f
    const auto v4 = at.load(3);  // W.g
    const auto v5 = at.load(4);  // W.o
    const auto v37 = at.load(5);  // U.i
    const auto v38 = at.load(6);  // U.f
    const auto v39 = at.load(7);  // U.g
    const auto v40 = at.load(8);  // U.o
    at.store(9, v37);  // for the next phase
    at.store(10, v38);  // for the next phase
    at.store(11, v39);  // for the next phase
    at.store(12, v40);  // for the next phase
    at.save(13, v1);  // s.1
    at.save(14, v2);  // s.3
    at.save(15, v3);  // s.4
    at.save(16, v4);  // s.5
    at.save(17, v5);  // s.6
    at.save(18, v37);  // s.38
    at.save(19, v38);  // s.39
    at.save(20, v39);  // s.40
    at.save(21, v40);  // s.41
  }
};

struct forward_1 {
  static constexpr int kPlaces = 12;
  template <class At>
  static TIDEGATE_INLINE void run(const At& at) {
    const auto v6 = at.load(0);  // mean of v2 v3 v4 v5
    const auto v7 = at.load(1);  // variance of v2 v3 v4 v5
    const auto v41 = at.load(2);  // mean of v37 v38 v39 v40
    const auto v42 = at.load(3);  // variance of v37 v38 v39 v40
    const auto v9 = v7 + at.number(1e-05);
    const auto v10 = sqrt(v9);
    const auto v12 = at.number(1.0) / v10;
    const auto v43 = at.number(1e-05) + v42;
    const auto v44 = sqrt(v43);
    const auto v45 = at.number(1.0) / v44;
    at.store(4, v12);  // for the next phase
    at.store(5, v45);  // for the next phase
    at.save(6, v6);  // s.7
    at.save(7, v10);  // s.11
    at.save(8, v12);  // s.13
    at.save(9, v41);  // s.42
    at.save(10, v44);  // s.45
    at.save(11, v45);  // s.46
  }
};

struct forward_2 {
  static constexpr int kPlaces = 31;
  template <class At>
  static TIDEGATE_INLINE void run(const At& at) {
    const auto v1 = at.load(0);  // c before the step
    const auto v2 = at.load(1);  // W.i
    const auto v3 = at.load(2);  // W.f
    const auto v4 = at.load(3);  // W.g
    const auto v5 = at.load(4);  // W.o
    const auto v6 = at.spread(5);  // mean of v2 v3 v4 v5
    const auto v12 = at.spread(6);  // 
    const auto v21 = at.load(7);  // norm_W.i
    const auto v23 = at.load(8);  // bias_W.i
    const auto v25 = at.load(9);  // norm_W.f
    const auto v27 = at.load(10);  // bias_W.f
    const auto v29 = at.load(11);  // norm_W.g
    const auto v31 = at.load(12);  // bias_W.g
    const auto v33 = at.load(13);  // norm_W.o
    const auto v35 = at.load(14);  // bias_W.o
    const auto v37 = at.load(15);  // U.i
    const auto v38 = at.load(16);  // U.f
    const auto v39 = at.load(17);  // U.g
    const auto v40 = at.load(18);  // U.o
    const auto v41 = at.spread(19);  // mean of v37 v38 v39 v40
    const auto v45 = at.spread(20);  // 
    const auto v54 = at.load(21);  // norm_U.i
    const auto v56 = at.load(22);  // bias_U.i
    const auto v58 = at.load(23);  // norm_U.f
    const auto v60 = at.load(24);  // bias_U.f
    const auto v62 = at.load(25);  // norm_U.g
    const auto v64 = at.load(26);  // bias_U.g
    const auto v66 = at.load(27);  // norm_U.o
    const auto v68 = at.load(28);  // bias_U.o
    const auto v13 = v2 - v6;
    const auto v14 = v12 * v13;
    const auto v15 = v3 - v6;
    const auto v16 = v12 * v15;
    const auto v17 = v4 - v6;
    const auto v18 = v12 * v17;
    const auto v19 = v5 - v6;
    const auto v20 = v12 * v19;
    const auto v22 = v14 * v21;
    const auto v24 = v22 + v23;
    const auto v26 = v16 * v25;
    const auto v28 = v26 + v27;
    const auto v30 = v18 * v29;
    const auto v32 = v30 + v31;
    const auto v34 = v20 * v33;
    const auto v36 = v34 + v35;
    const auto v46 = v37 - v41;
    const auto v47 = v45 * v46;
    const auto v48 = v38 - v41;
    const auto v49 = v45 * v48;
    const auto v50 = v39 - v41;
    const auto v51 = v45 * v50;
    const auto v52 = v40 - v41;
    const auto v53 = v45 * v52;
    const auto v55 = v47 * v54;
    const auto v57 = v55 + v56;
    const auto v59 = v49 * v58;
    const auto v61 = v59 + v60;
    const auto v63 = v51 * v62;
    const auto v65 = v63 + v64;
    const auto v67 = v53 * v66;
    const auto v69 = v67 + v68;
    const auto v70 = v24 + v57;
    const auto v71 = sigmoid(v70);
    const auto v72 = v28 + v61;
    const auto v73 = sigmoid(v72);
    const auto v74 = v32 + v65;
    const auto v75 = tanh(v74);
    const auto v76 = v36 + v69;
    const auto v77 = sigmoid(v76);
    const auto v78 = v1 * v73;
    const auto v79 = v71 * v75;
    const auto v80 = v78 + v79;
    at.store(29, v77);  // for the next phase
    at.store(30, v80);  // c after the step
  }
};

struct forward_3 {
  static constexpr int kPlaces = 6;
  template <class At>
  static TIDEGATE_INLINE void run(const At& at) {
    const auto v81 = at.load(0);  // mean of v80
    const auto v82 = at.load(1);  // variance of v80
    const auto v83 = at.number(1e-05) + v82;
    const auto v84 = sqrt(v83);
    const auto v85 = at.number(1.0) / v84;
    at.store(2, v85);  // for the next phase
    at.save(3, v81);  // s.82
    at.save(4, v84);  // s.85
    at.save(5, v85);  // s.86
  }
};

struct forward_4 {
  static constexpr int kPlaces = 8;
  template <class At>
  static TIDEGATE_INLINE void run(const At& at) {
    const auto v77 = at.load(0);  // 
    const auto v80 = at.load(1);  // 
    const auto v81 = at.spread(2);  // mean of v80
    const auto v85 = at.spread(3);  // 
    const auto v88 = at.load(4);  // norm_c.c
    const auto v90 = at.load(5);  // bias_c.c
    const auto v86 = v80 - v81;
    const auto v87 = v85 * v86;
    const auto v89 = v87 * v88;
    const auto v91 = v89 + v90;
    const auto v92 = tanh(v91);
    const auto v93 = v77 * v92;
    at.store(6, v93);  // h after the step
    at.store(7, v93);  // y[t]
  }
};

struct backward_0 {
  static constexpr int kPlaces = 48;
  template <class At>
  static TIDEGATE_INLINE void run(const At& at) {
    const auto v0 = at.load(0);  // s.1
    const auto v1 = at.load(1);  // s.3
    const auto v2 = at.load(2);  // s.4
    const auto v3 = at.load(3);  // s.5
    const auto v4 = at.load(4);  // s.6
    const auto v5 = at.spread(5);  // s.7
    const auto v8 = at.spread(6);  // s.13
    const auto v17 = at.load(7);  // norm_W.i
    const auto v19 = at.load(8);  // bias_W.i
    const auto v21 = at.load(9);  // norm_W.f
    const auto v23 = at.load(10);  // bias_W.f
    const auto v25 = at.load(11);  // norm_W.g
    const auto v27 = at.load(12);  // bias_W.g
    const auto v29 = at.load(13);  // norm_W.o
    const auto v31 = at.load(14);  // bias_W.o
    const auto v33 = at.load(15);  // s.38
    const auto v34 = at.load(16);  // s.39
    const auto v35 = at.load(17);  // s.40
    const auto v36 = at.load(18);  // s.41
    const auto v37 = at.spread(19);  // s.42
    const auto v39 = at.spread(20);  // s.46
    const auto v48 = at.load(21);  // norm_U.i
    const auto v50 = at.load(22);  // bias_U.i
    const auto v52 = at.load(23);  // norm_U.f
    const auto v54 = at.load(24);  // bias_U.f
    const auto v56 = at.load(25);  // norm_U.g
    const auto v58 = at.load(26);  // bias_U.g
    const auto v60 = at.load(27);  // norm_U.o
    const auto v62 = at.load(28);  // bias_U.o
    const auto v75 = at.spread(29);  // s.82
    const auto v77 = at.spread(30);  // s.86
    const auto v80 = at.load(31);  // norm_c.c
    const auto v82 = at.load(32);  // bias_c.c
    const auto v85 = at.load(33);  // d h before the step
    const auto v91 = at.load(34);  // U transposed, rows i f g o
    const auto v93 = at.load(35);  // dy[t]
    const auto v9 = v1 - v5;
    const auto v10 = v8 * v9;
    const auto v11 = v2 - v5;
    const auto v12 = v8 * v11;
    const auto v13 = v3 - v5;
    const auto v14 = v8 * v13;
    const auto v15 = v4 - v5;
    const auto v16 = v8 * v15;
    const auto v18 = v10 * v17;
    const auto v20 = v18 + v19;
    const auto v22 = v12 * v21;
    const auto v24 = v22 + v23;
    const auto v26 = v14 * v25;
    const auto v28 = v26 + v27;
    const auto v30 = v16 * v29;
    const auto v32 = v30 + v31;
    const auto v40 = v33 - v37;
    const auto v41 = v39 * v40;
    const auto v42 = v34 - v37;
    const auto v43 = v39 * v42;
    const auto v44 = v35 - v37;
    const auto v45 = v39 * v44;
    const auto v46 = v36 - v37;
    const auto v47 = v39 * v46;
    const auto v49 = v41 * v48;
    const auto v51 = v49 + v50;
    const auto v53 = v43 * v52;
    const auto v55 = v53 + v54;
    const auto v57 = v45 * v56;
    const auto v59 = v57 + v58;
    const auto v61 = v47 * v60;
    const auto v63 = v61 + v62;
    const auto v64 = v20 + v51;
    const auto v65 = sigmoid(v64);
    const auto v66 = v24 + v55;
    const auto v67 = sigmoid(v66);
    const auto v68 = v28 + v59;
    const auto v69 = tanh(v68);
    const auto v70 = v32 + v63;
    const auto v71 = sigmoid(v70);
    const auto v72 = v0 * v67;
    const auto v73 = v65 * v69;
    const auto v74 = v72 + v73;
    const auto v78 = v74 - v75;
    const auto v79 = v77 * v78;
    const auto v81 = v79 * v80;
    const auto v83 = v81 + v82;
    const auto v84 = tanh(v83);
    const auto v92 = v85 + v91;
    const auto v94 = v92 + v93;
    const auto v95 = v84 * v94;
    const auto v96 = v71 * v94;
    const auto v97 = v84 * v84;
    const auto v98 = at.number(1.0) - v97;
    const auto v99 = v96 * v98;
    const auto v100 = v79 * v99;
    const auto v101 = v80 * v99;
    const auto v102 = v77 * v101;
    const auto v103 = v78 * v101;
    const auto v104 = -v102;
    const auto v124 = at.number(1.0) - v71;
    const auto v125 = v71 * v124;
    const auto v126 = v95 * v125;
    const auto v136 = v47 * v126;
    const auto v185 = v16 * v126;
    at.store(36, v65);  // for the next phase
    at.store(37, v67);  // for the next phase
    at.store(38, v69);  // for the next phase
    at.store(39, v74);  // for the next phase
    at.store(40, v103);  // for the next phase
    at.store(41, v104);  // for the next phase
    at.store(42, at.number(0.0));  // d h after the step
    at.store(43, v99);  // g.8
    at.store(44, v100);  // g.9
    at.store(45, v126);  // g.10
    at.store(46, v136);  // g.11
    at.store(47, v185);  // g.18
  }
};

struct backward_1 {
  static constexpr int kPlaces = 4;
  template <class At>
  static TIDEGATE_INLINE void run(const At& at) {
    const auto v76 = at.load(0);  // s.85
    const auto v77 = at.load(1);  // s.86
    const auto v106 = at.load(2);  // mean of v103
    const auto v107 = v77 * v106;
    const auto v108 = -v107;
    const auto v109 = v108 / v76;
    const auto v111 = v109 * at.number(0.5);
    const auto v112 = v111 / v76;
    const auto v114 = v112 * at.number(2.0);
    at.store(3, v114);  // for the next phase
  }
};

struct backward_2 {
  static constexpr int kPlaces = 47;
  template <class At>
  static TIDEGATE_INLINE void run(const At& at) {
    const auto v0 = at.load(0);  // s.1
    const auto v1 = at.load(1);  // s.3
    const auto v2 = at.load(2);  // s.4
    const auto v3 = at.load(3);  // s.5
    const auto v4 = at.load(4);  // s.6
    const auto v5 = at.spread(5);  // s.7
    const auto v8 = at.spread(6);  // s.13
    const auto v17 = at.load(7);  // norm_W.i
    const auto v21 = at.load(8);  // norm_W.f
    const auto v25 = at.load(9);  // norm_W.g
    const auto v29 = at.load(10);  // norm_W.o
    const auto v33 = at.load(11);  // s.38
    const auto v34 = at.load(12);  // s.39
    const auto v35 = at.load(13);  // s.40
    const auto v36 = at.load(14);  // s.41
    const auto v37 = at.spread(15);  // s.42
    const auto v39 = at.spread(16);  // s.46
    const auto v48 = at.load(17);  // norm_U.i
    const auto v52 = at.load(18);  // norm_U.f
    const auto v56 = at.load(19);  // norm_U.g
    const auto v60 = at.load(20);  // norm_U.o
    const auto v65 = at.load(21);  // 
    const auto v67 = at.load(22);  // 
    const auto v69 = at.load(23);  // 
    const auto v74 = at.load(24);  // 
    const auto v75 = at.spread(25);  // s.82
    const auto v77 = at.spread(26);  // s.86
    const auto v80 = at.load(27);  // norm_c.c
    const auto v86 = at.load(28);  // d c before the step
    const auto v99 = at.load(29);  // 
    const auto v114 = at.spread(30);  // 
    const auto v117 = at.spread(31);  // mean of v104
    const auto v126 = at.load(32);  // 
    const auto v9 = v1 - v5;
    const auto v10 = v8 * v9;
    const auto v11 = v2 - v5;
    const auto v12 = v8 * v11;
    const auto v13 = v3 - v5;
    const auto v14 = v8 * v13;
    const auto v15 = v4 - v5;
    const auto v40 = v33 - v37;
    const auto v41 = v39 * v40;
    const auto v42 = v34 - v37;
    const auto v43 = v39 * v42;
    const auto v44 = v35 - v37;
    const auto v45 = v39 * v44;
    const auto v46 = v36 - v37;
    const auto v78 = v74 - v75;
    const auto v101 = v80 * v99;
    const auto v102 = v77 * v101;
    const auto v105 = v86 + v102;
    const auto v115 = v78 * v114;
    const auto v116 = v105 + v115;
    const auto v118 = v117;
    const auto v119 = v116 + v118;
    const auto v120 = v69 * v119;
    const auto v121 = v65 * v119;
    const auto v122 = v0 * v119;
    const auto v123 = v67 * v119;
    const auto v127 = v69 * v69;
    const auto v128 = at.number(1.0) - v127;
    const auto v129 = v121 * v128;
    const auto v130 = at.number(1.0) - v67;
    const auto v131 = v67 * v130;
    const auto v132 = v122 * v131;
    const auto v133 = at.number(1.0) - v65;
    const auto v134 = v65 * v133;
    const auto v135 = v120 * v134;
    const auto v137 = v60 * v126;
    const auto v138 = v45 * v129;
    const auto v139 = v56 * v129;
    const auto v140 = v43 * v132;
    const auto v141 = v52 * v132;
    const auto v142 = v41 * v135;
    const auto v143 = v48 * v135;
    const auto v144 = v39 * v137;
    const auto v145 = v46 * v137;
    const auto v146 = -v144;
    const auto v147 = v39 * v139;
    const auto v148 = v44 * v139;
    const auto v149 = v145 + v148;
    const auto v150 = -v147;
    const auto v151 = v146 + v150;
    const auto v152 = v39 * v141;
    const auto v153 = v42 * v141;
    const auto v154 = v149 + v153;
    const auto v155 = -v152;
    const auto v156 = v151 + v155;
    const auto v157 = v39 * v143;
    const auto v158 = v40 * v143;
    const auto v159 = v154 + v158;
    const auto v160 = -v157;
    const auto v161 = v156 + v160;
    const auto v186 = v29 * v126;
    const auto v187 = v14 * v129;
    const auto v188 = v25 * v129;
    const auto v189 = v12 * v132;
    const auto v190 = v21 * v132;
    const auto v191 = v10 * v135;
    const auto v192 = v17 * v135;
    const auto v193 = v8 * v186;
    const auto v194 = v15 * v186;
    const auto v195 = -v193;
    const auto v196 = v8 * v188;
    const auto v197 = v13 * v188;
    const auto v198 = v194 + v197;
    const auto v199 = -v196;
    const auto v200 = v195 + v199;
    const auto v201 = v8 * v190;
    const auto v202 = v11 * v190;
    const auto v203 = v198 + v202;
    const auto v204 = -v201;
    const auto v205 = v200 + v204;
    const auto v206 = v8 * v192;
    const auto v207 = v9 * v192;
    const auto v208 = v203 + v207;
    const auto v209 = -v206;
    const auto v210 = v205 + v209;
    at.store(33, v159);  // for the next phase
    at.store(34, v161);  // for the next phase
    at.store(35, v208);  // for the next phase
    at.store(36, v210);  // for the next phase
    at.store(37, v123);  // d c after the step
    at.store(38, v129);  // g.12
    at.store(39, v138);  // g.13
    at.store(40, v132);  // g.14
    at.store(41, v140);  // g.15
    at.store(42, v135);  // g.16
    at.store(43, v142);  // g.17
    at.store(44, v187);  // g.19
    at.store(45, v189);  // g.20
    at.store(46, v191);  // g.21
  }
};

struct backward_3 {
  static constexpr int kPlaces = 12;
  template <class At>
  static TIDEGATE_INLINE void run(const At& at) {
    const auto v6 = at.load(0);  // s.11
    const auto v8 = at.load(1);  // s.13
    const auto v38 = at.load(2);  // s.45
    const auto v39 = at.load(3);  // s.46
    const auto v162 = at.load(4);  // mean of v159
    const auto v177 = at.load(5);  // mean of v161
    const auto v211 = at.load(6);  // mean of v208
    const auto v226 = at.load(7);  // mean of v210
    const auto v163 = v39 * v162;
    const auto v164 = -v163;
    const auto v165 = v164 / v38;
    const auto v166 = at.number(0.5) * v165;
    const auto v167 = v166 / v38;
    const auto v168 = at.number(0.5) * v167;
    const auto v179 = v177 * at.number(0.25);
    const auto v212 = v8 * v211;
    const auto v213 = -v212;
    const auto v214 = v213 / v6;
    const auto v215 = at.number(0.5) * v214;
    const auto v216 = v215 / v6;
    const auto v217 = at.number(0.5) * v216;
    const auto v227 = at.number(0.25) * v226;
    at.store(8, v168);  // for the next phase
    at.store(9, v179);  // for the next phase
    at.store(10, v217);  // for the next phase
    at.store(11, v227);  // for the next phase
  }
};

struct backward_4 {
  static constexpr int kPlaces = 40;
  template <class At>
  static TIDEGATE_INLINE void run(const At& at) {
    const auto v1 = at.load(0);  // s.3
    const auto v2 = at.load(1);  // s.4
    const auto v3 = at.load(2);  // s.5
    const auto v4 = at.load(3);  // s.6
    const auto v5 = at.spread(4);  // s.7
    const auto v8 = at.spread(5);  // s.13
    const auto v17 = at.load(6);  // norm_W.i
    const auto v21 = at.load(7);  // norm_W.f
    const auto v25 = at.load(8);  // norm_W.g
    const auto v29 = at.load(9);  // norm_W.o
    const auto v33 = at.load(10);  // s.38
    const auto v34 = at.load(11);  // s.39
    const auto v35 = at.load(12);  // s.40
    const auto v36 = at.load(13);  // s.41
    const auto v37 = at.spread(14);  // s.42
    const auto v39 = at.spread(15);  // s.46
    const auto v48 = at.load(16);  // norm_U.i
    const auto v52 = at.load(17);  // norm_U.f
    const auto v56 = at.load(18);  // norm_U.g
    const auto v60 = at.load(19);  // norm_U.o
    const auto v126 = at.load(20);  // 
    const auto v129 = at.load(21);  // 
    const auto v132 = at.load(22);  // 
    const auto v135 = at.load(23);  // 
    const auto v168 = at.spread(24);  // 
    const auto v179 = at.spread(25);  // 
    const auto v217 = at.spread(26);  // 
    const auto v227 = at.spread(27);  // 
    const auto v9 = v1 - v5;
    const auto v11 = v2 - v5;
    const auto v13 = v3 - v5;
    const auto v15 = v4 - v5;
    const auto v40 = v33 - v37;
    const auto v42 = v34 - v37;
    const auto v44 = v35 - v37;
    const auto v46 = v36 - v37;
    const auto v137 = v60 * v126;
    const auto v139 = v56 * v129;
    const auto v141 = v52 * v132;
    const auto v143 = v48 * v135;
    const auto v144 = v39 * v137;
    const auto v147 = v39 * v139;
    const auto v152 = v39 * v141;
    const auto v157 = v39 * v143;
    const auto v169 = v40 * v168;
    const auto v170 = v42 * v168;
    const auto v171 = v44 * v168;
    const auto v172 = v46 * v168;
    const auto v173 = v157 + v169;
    const auto v174 = v152 + v170;
    const auto v175 = v147 + v171;
    const auto v176 = v144 + v172;
    const auto v180 = v179;
    const auto v181 = v173 + v180;
    const auto v182 = v174 + v180;
    const auto v183 = v175 + v180;
    const auto v184 = v176 + v180;
    const auto v186 = v29 * v126;
    const auto v188 = v25 * v129;
    const auto v190 = v21 * v132;
    const auto v192 = v17 * v135;
    const auto v193 = v8 * v186;
    const auto v196 = v8 * v188;
    const auto v201 = v8 * v190;
    const auto v206 = v8 * v192;
    const auto v218 = v9 * v217;
    const auto v219 = v11 * v217;
    const auto v220 = v13 * v217;
    const auto v221 = v15 * v217;
    const auto v222 = v206 + v218;
    const auto v223 = v201 + v219;
    const auto v224 = v196 + v220;
    const auto v225 = v193 + v221;
    const auto v228 = v227;
    const auto v229 = v222 + v228;
    const auto v230 = v223 + v228;
    const auto v231 = v224 + v228;
    const auto v232 = v225 + v228;
    at.store(28, v181);  // d U.i after the step
    at.store(29, v182);  // d U.f after the step
    at.store(30, v183);  // d U.g after the step
    at.store(31, v184);  // d U.o after the step
    at.store(32, v184);  // g.0
    at.store(33, v183);  // g.1
    at.store(34, v182);  // g.2
    at.store(35, v181);  // g.3
    at.store(36, v232);  // g.4
    at.store(37, v231);  // g.5
    at.store(38, v230);  // g.6
    at.store(39, v229);  // g.7
  }
};

struct ending_0 {
  static constexpr int kPlaces = 5;
  template <class At>
  static TIDEGATE_INLINE void run(const At& at) {
    const auto v0 = at.load(0);  // d h before the step
    const auto v1 = at.load(1);  // d c before the step
    const auto v6 = at.load(2);  // U transposed, rows i f g o
    const auto v7 = v0 + v6;
    at.store(3, v7);  // d h
    at.store(4, v1);  // d c
  }
};

}  // namespace

TIDEGATE_POINTWISE(tg_5773c790b1290f45_forward_0, forward_0, false)
TIDEGATE_POINTWISE(tg_5773c790b1290f45_forward_0_saving, forward_0, true)
TIDEGATE_POINTWISE(tg_5773c790b1290f45_forward_1, forward_1, false)
TIDEGATE_POINTWISE(tg_5773c790b1290f45_forward_1_saving, forward_1, true)
TIDEGATE_POINTWISE(tg_5773c790b1290f45_forward_2, forward_2, false)
TIDEGATE_POINTWISE(tg_5773c790b1290f45_forward_2_saving, forward_2, true)
TIDEGATE_POINTWISE(tg_5773c790b1290f45_forward_3, forward_3, false)
TIDEGATE_POINTWISE(tg_5773c790b1290f45_forward_3_saving, forward_3, true)
TIDEGATE_POINTWISE(tg_5773c790b1290f45_forward_4, forward_4, false)
TIDEGATE_POINTWISE(tg_5773c790b1290f45_forward_4_saving, forward_4, true)
TIDEGATE_POINTWISE(tg_5773c790b1290f45_backward_0, backward_0, false)
TIDEGATE_POINTWISE(tg_5773c790b1290f45_backward_1, backward_1, false)
TIDEGATE_POINTWISE(tg_5773c790b1290f45_backward_2, backward_2, false)
TIDEGATE_POINTWISE(tg_5773c790b1290f45_backward_3, backward_3, false)
TIDEGATE_POINTWISE(tg_5773c790b1290f45_backward_4, backward_4, false)
TIDEGATE_POINTWISE(tg_5773c790b1290f45_ending_0, ending_0, false)
